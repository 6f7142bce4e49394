#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When TMPDIR is full, a client over a base gets ENOSPC for what would need space, whole
# blocks and parts of one. All that was acknowledged stays, and so does what the base has
# where a write has failed. Others read on and change what they have written, and new
# clients are served.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# full: a client fills TMPDIR.
full() {
    serve "$plugin" base=base.img size=120M
    export uri
    nbdsh -c - <<'PYTHON'
import os
import time

MIB = 1 << 20
with open("base.img", "rb") as f:
    base = f.read()
disk = base + bytes(120 * MIB - len(base))


def connect():
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    return h


def same(h, want):
    for i in range(0, len(want), MIB):
        assert h.pread(MIB, i) == want[i:i+MIB], i


def fails(call, *args):
    try:
        call(*args)
    except nbd.Error as ex:
        assert ex.errno == "ENOSPC", ex
        return True
    return False


a, b = connect(), connect()
want, other = bytearray(disk), bytearray(disk)
b.pwrite(b"b" * 100000, 70000)
other[70000:170000] = b"b" * 100000
own = set()  # blocks that a has written
# Big requests first, then small ones, until not even part of a block fits.
at = 0
for count in 3 * MIB, 100001, 5000, 777:
    misses = 0
    while misses < 20:
        at = (at + 7919 * 4096 + 13) % (100 * MIB)
        data = os.urandom(count)
        blocks = range(at // 4096, (at + count - 1) // 4096 + 1)
        if not fails(a.pwrite, data, at):
            want[at:at+count] = data
            own.update(blocks)
            continue
        misses += 1
        # Of a write that fails, what was written before may have been changed. It must
        # not have made anything of the base's other than it was.
        for n in own.intersection(blocks):
            begin, end = max(at, n * 4096), min(at + count, n * 4096 + 4096)
            got, new = a.pread(end - begin, begin), data[begin-at:end-at]
            assert all(g in t for g, t in zip(got, zip(want[begin:end], new))), begin
            want[begin:end] = got
        b.pwrite(b"again", 80000)
assert bytes(want) != disk
same(a, want)
other[80000:80005] = b"again"
same(b, other)
# Blocks of its own can be changed, however full it is.
b.pwrite(b"B" * 90000, 73728)
other[73728:163728] = b"B" * 90000
n = min(own) * 4096
a.pwrite(b"once more", n + 100)
want[n+100:n+109] = b"once more"
# A newcomer reads the base, and is told like the others.
c = connect()
same(c, disk)
refusals = [fails(c.pwrite, b"x", n * 97 * 4096 + 5) for n in range(200)]
assert refusals[-1], "there is room"
taken = bytearray(disk)
for n, failed in enumerate(refusals):
    if not failed:
        taken[n*97*4096+5] = ord("x")
same(c, taken)
same(b, other)
same(a, want)
# What a client leaves, the next may have.
a.shutdown()
for _ in range(600):
    if not fails(b.pwrite, b"z" * 5 * MIB, 20 * MIB):
        break
    time.sleep(0.1)
else:
    raise SystemExit("the space of a client that is gone is not free")
other[20*MIB:25*MIB] = b"z" * 5 * MIB
same(b, other)
PYTHON
    stop_server "$server"
    [ "$(sha256sum base.img)" = "$sum" ] || fail "the base has changed"
}

requires root
head -c 100000001 /dev/urandom >base.img
sum=$(sha256sum base.img)
use_tmpdir tmpfs
mount -t tmpfs -o size=30M tmpfs "$TMPDIR" || skip "needs to mount a tmpfs"
at_exit "check_empty '$TMPDIR' && umount '$TMPDIR'"
full
small_tmpdir 40M
full
