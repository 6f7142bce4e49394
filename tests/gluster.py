# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# In front of the Python code of the tests with GlusterFS, which nbdsh runs in the
# directory of the test.

import errno
import glob
import os
import socket
import subprocess
import sys
import time

import nbd

BLOCK = 4096
SIZE = 1 << 20
BLOCKS = SIZE // BLOCK


def connect(sock, name, patience=300):
    """A connection to the session, as soon as the server gives it."""
    end = time.monotonic() + patience
    while True:
        h = nbd.NBD()
        h.set_export_name(name)
        try:
            h.connect_unix(sock)
            return h
        except nbd.Error as ex:
            if time.monotonic() > end:
                sys.exit("%s: %s: refused: %s" % (sock, name, ex))
            time.sleep(0.1)


def finish(h, cookies, patience):
    """The results of asynchronous requests: 0, an errno, or None for no answer yet."""
    end = time.monotonic() + patience
    results = {}
    while len(results) < len(cookies):
        for c in cookies:
            if c not in results:
                try:
                    if h.aio_command_completed(c):
                        results[c] = 0
                except nbd.Error as ex:
                    results[c] = ex.errnum or errno.ENOTCONN
        if time.monotonic() > end:
            break
        if len(results) < len(cookies):
            try:
                h.poll(100)
            except nbd.Error:
                pass    # the next look at the requests tells
    return [results.get(c) for c in cookies]


def block(text):
    return bytearray(text.encode().ljust(BLOCK, b"."))


def put(h, model, i, text, flags=0):
    """Write block i, of the disk and of the model, which is a bytearray."""
    h.pwrite(block(text), i * BLOCK, flags)
    model[i * BLOCK:(i + 1) * BLOCK] = block(text)


def want(got, expected, what):
    if got != expected:
        sys.exit("%s: got %.60r, want %.60r" % (what, got, expected))


def want_disk(got, model, what):
    want(len(got), len(model), what + ": size")
    for at in range(0, len(model), BLOCK):
        if got[at:at + BLOCK] != model[at:at + BLOCK]:
            sys.exit("%s: block %d: got %r..., want %r..." % (
                what, at // BLOCK, bytes(got[at:at + 24]), bytes(model[at:at + 24])))


def want_bricks(model, what):
    """Each brick has the model, in the file of the only disk that ends like it."""
    for brick in 1, 2, 3:
        found = []
        for name in glob.glob("bricks/%d/sessions/nbdkit-tmpdisk-sessions-*/*.disk" % brick):
            with open(name, "rb") as f:
                disk = f.read()
            if disk[-BLOCK:] == model[-BLOCK:]:
                found.append(disk)
        want(len(found), 1, "%s: brick %d: disks" % (what, brick))
        want_disk(found[0], model, "%s: brick %d" % (what, brick))


def shell(function):
    """Run a function of gluster.sh."""
    subprocess.run(["bash", "-c", function], check=True, stdin=subprocess.DEVNULL)


def haproxy(command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("haproxy.sock")
        s.sendall(command.encode() + b"\n")
        while s.recv(4096):
            pass
