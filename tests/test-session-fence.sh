#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What an old connection has queued never lands after a new one's write.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires filter:delay
serve --filter=delay "$plugin" size=10M type=swap session-grace=1h wdelay=20ms
talk <<'PYTHON'
BLOCKS, BLOCK = 64, 1024

old = connect("swap/one")
old.pwrite(b"old" * 4, 0)
done, errors = [], []

def completed(err):
    (errors if err.value else done).append(err.value)
    return 1

def pump(until):
    while not until():
        old.poll(-1)

for i in range(BLOCKS):
    old.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"o" * BLOCK)), i * BLOCK, completion=completed)
pump(lambda: len(done) >= 4)

new = connect("swap/one")
want(new.pread(1, 0), b"o")     # which harms nobody
before = len(done)
pump(lambda: len(done) > before)

new.pwrite(b"n" * BLOCKS * BLOCK, 0)
pump(lambda: len(done) + len(errors) == BLOCKS)
want(set(errors), {errno.ESHUTDOWN})
want(new.pread(BLOCKS * BLOCK, 0), b"n" * BLOCKS * BLOCK)
for again in lambda: old.pread(1, 0), lambda: old.pwrite(b"o", 0), lambda: old.trim(512, 0):
    try:
        again()
    except nbd.Error as ex:
        want(ex.errnum, errno.ESHUTDOWN)
    else:
        sys.exit("the old connection goes on")

# The end of the old one is not that of the session.
old.shutdown()
new.pwrite(b"still", 0)
want(new.pread(5, 0), b"still")
print(len(done), "writes were in time,", len(errors), "were not")
PYTHON
