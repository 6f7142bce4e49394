#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# One client fills a tmpfs; meanwhile another keeps rewriting its own disk, and
# neither sees anything but its own data and ENOSPC. What goes when a client
# goes is there for the other.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
use_tmpdir full
mount -t tmpfs -o size=40M tmpfs "$TMPDIR" || skip "needs to mount a tmpfs"
at_exit "check_empty '$TMPDIR' && umount '$TMPDIR'"
serve "$plugin" size=100M command=:
export uri
nbdsh -c - <<'PYTHON'
import os, time
uri = os.environ["uri"]

def block(who, n):
    return (b"%s%07d" % (who, n)) * (1 << 17)

a, b = nbd.NBD(), nbd.NBD()
a.connect_uri(uri)
b.connect_uri(uri)
size = len(block(b"b", 0))
for i in range(4):
    b.pwrite(block(b"b", i), i * size)
written = full = 0
while full < 5:
    try:
        a.pwrite(block(b"a", written), written * size)
        written += 1
    except nbd.Error as ex:
        assert ex.errno == "ENOSPC", ex
        full += 1
    n = written + full
    b.pwrite(block(b"b", n), n % 4 * size)  # in its own space, so always
    assert b.pread(size, n % 4 * size) == block(b"b", n)
assert 30 <= written < 40, written
for i in range(written):
    assert a.pread(size, i * size) == block(b"a", i), i
try:
    b.pwrite(block(b"b", 9), 50 * size)
except nbd.Error as ex:
    assert ex.errno == "ENOSPC", ex
else:
    raise SystemExit("there was room")

a.zero(5 * size, 0)  # a hole, as trim would make
for i in range(3):
    b.pwrite(block(b"b", i), (50 + i) * size)
assert a.pread(size, 0) == bytes(size)
assert a.pread(size, 5 * size) == block(b"a", 5)
a.shutdown()
for i in range(20):
    for attempt in range(3000):  # the server closes in its own time
        try:
            b.pwrite(block(b"b", i), (60 + i) * size)
            break
        except nbd.Error as ex:
            assert ex.errno == "ENOSPC", ex
            time.sleep(0.05)
    else:
        raise SystemExit("the space of a client that is gone is not free")
for i in range(20):
    assert b.pread(size, (60 + i) * size) == block(b"b", i), i
PYTHON
