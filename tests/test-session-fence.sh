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

queued = 0
def queue():
    global queued
    buffer = nbd.Buffer.from_bytearray(bytearray(b"o" * BLOCK))
    old.aio_pwrite(buffer, queued % BLOCKS * BLOCK, completion=completed)
    queued += 1

def pump(until):
    while not until():
        old.poll(1)
        new.poll(0)

for i in range(BLOCKS):
    queue()
new = connect("swap/one")
pump(lambda: len(done) >= 4)
want(new.pread(1, 0), b"o")     # which harms nobody
before = len(done)
pump(lambda: len(done) > before)

# However late the new one's write comes, the old one's are on their way.
new_done, late = [], 0
new.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"n" * BLOCKS * BLOCK)), 0,
               completion=lambda err: new_done.append(err.value) or 1)
while not errors:
    if new_done and queued > late + BLOCKS:
        sys.exit("the old connection goes on after the new one's write")
    late = queued if not new_done else late
    while old.aio_in_flight() < BLOCKS:
        queue()
    pump(lambda: errors or old.aio_in_flight() < BLOCKS)
pump(lambda: new_done and not old.aio_in_flight())
want(new_done, [0])
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
