#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When the filesystem of TMPDIR is full its client gets ENOSPC, keeps its
# disk, can change what it has written, and can go on as soon as there is room.
# Another client is not harmed.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

small_tmpdir 40M
serve "$plugin" size=100M command=:
nbdsh -c - <<PYTHON
a, b = nbd.NBD(), nbd.NBD()
a.connect_uri("$uri")
b.connect_uri("$uri")
block = b"0123456789abcdef" * 65536
b.pwrite(block, 0)
written = 0
try:
    while True:
        a.pwrite(block, written)
        written += len(block)
        assert written < 100 << 20, "the filesystem never got full"
except nbd.Error as ex:
    assert ex.errno == "ENOSPC", ex.errno
assert written >= 10 << 20, written
for offset in range(0, written, len(block)):
    assert a.pread(len(block), offset) == block
assert b.pread(len(block), 0) == block
changed = block[::-1]
for h in a, b:
    h.pwrite(changed, 0)
    assert h.pread(len(block), 0) == changed
a.trim(written, 0)
a.pwrite(block, 50 << 20)
assert a.pread(len(block), 50 << 20) == block
b.pwrite(block, 5 << 20)
PYTHON
