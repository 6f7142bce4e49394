# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For /usr/bin/python3: clients with sessions, and kill -9 of clients and of the
# server, and SIGTERM of the server, at random from one printed seed. A client
# notes in a file what it is about to write and what it was told is written; the
# next one under its name first fences what is left of it, and then looks whether
# all that is there.
#
# Environment: plugin, sessions (a directory), sock, seconds, and seed.

import collections
import os
import random
import signal
import subprocess
import sys
import time

import nbd

SECONDS = float(os.environ["seconds"])
SEED = int(os.environ.get("seed") or int.from_bytes(os.urandom(4), "big"))
SOCK = os.environ["sock"]
BLOCKS, BLOCK, CLIENTS = 200, 4096, 6
counts = collections.Counter()


def read_notes(name):
    """What each block may have: the last value acknowledged, or a later one."""
    may = {b: {0} for b in range(1, BLOCKS)}
    with open(name) as f:
        for line in f:
            kind, block, value = line.split()
            if kind == "ack":
                may[int(block)] = {int(value)}
            else:
                may[int(block)].add(int(value))
    return may


def connect(name):
    end = time.monotonic() + 300
    while True:
        h = nbd.NBD()
        h.set_export_name("swap/" + name)
        try:
            h.connect_unix(SOCK)
            return h
        except nbd.Error as ex:
            if time.monotonic() > end:
                sys.exit("%s: refused: %s" % (name, ex))
            time.sleep(0.02)


def verify(h, name, note):
    """The disk is as the notes say; then they say which of the values it is."""
    h.pwrite(b"fence".ljust(BLOCK), 0)
    for block, values in read_notes(name).items():
        got = int(bytes(h.pread(BLOCK, block * BLOCK)).strip(b"\0 ") or b"0")
        if got not in values:
            print("%s: block %d: got %d, want one of %s" % (name, block, got, sorted(values)), flush=True)
            os._exit(1)
        note("ack", block, got)


def client(name, seed):
    rng = random.Random(seed)
    notes = os.open(name, os.O_WRONLY | os.O_APPEND)

    def note(*what):
        os.write(notes, b"%s %d %d\n" % (what[0].encode(), what[1], what[2]))

    value = int(time.monotonic() * 1000000)
    while True:
        h = connect(name)
        try:
            verify(h, name, note)
            for _ in range(rng.randrange(60)):
                batch = []
                for block in rng.sample(range(1, BLOCKS), rng.randrange(1, 40)):
                    value += 1
                    note("may", block, value)
                    data = nbd.Buffer.from_bytearray(bytearray((b"%d" % value).ljust(BLOCK)))
                    batch.append((h.aio_pwrite(data, block * BLOCK), block, value))
                for cookie, block, written in batch:
                    while not h.aio_command_completed(cookie):
                        h.poll(-1)
                    note("ack", block, written)
            if rng.random() < 0.5:
                h.shutdown()
        except nbd.Error:
            pass    # the server's end: what was not answered may be there or not
        del h


def start(*more):
    if os.path.exists(SOCK):
        os.unlink(SOCK)
    log = open("nbdkit-chaos.log", "a")
    server = subprocess.Popen(
        ["nbdkit", "-f", "-U", SOCK, os.environ["plugin"], "size=1M", "command=:",
         "session-dir=" + os.environ["sessions"]] + list(more),
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    log.close()
    counts["servers"] += 1
    return server


def end(server, how):
    server.send_signal(how)
    try:
        server.wait(0.5)
    except subprocess.TimeoutExpired:
        server.kill()   # as systemd does: its clients keep it
        server.wait()


def spawn(name, rng):
    seed = rng.getrandbits(32)
    pid = os.fork()
    if pid == 0:
        try:
            client(name, seed)
        finally:
            os._exit(1)
    counts["clients"] += 1
    return pid


def kill_client(name, pid):
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit("seed %d: client %s ended" % (SEED, name))


def main():
    print("seed", SEED, flush=True)
    rng = random.Random(SEED)
    server = start("session-grace=1h")
    clients = {}
    for i in range(CLIENTS):
        open("c%d" % i, "w").close()
        clients["c%d" % i] = spawn("c%d" % i, rng)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(rng.random() / 3)
        if rng.random() < 0.6:
            name = rng.choice(sorted(clients))
            kill_client(name, clients[name])
            clients[name] = spawn(name, rng)
        else:
            end(server, rng.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]))
            server = start("session-grace=1h", "session-sync=" + rng.choice(["yes", "no"]))
    for name, pid in clients.items():
        kill_client(name, pid)
        verify(connect(name), name, lambda *what: None)
        with open(name) as f:
            counts["acknowledged"] += sum(line.startswith("ack") for line in f)
    end(server, signal.SIGKILL)
    for name, n in sorted(counts.items()):
        print("%-14s %d" % (name, n))


main()
