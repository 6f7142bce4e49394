#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The ramdisk example against nbdsh and nbdcopy: data, extents, zero and trim by
# pages, and one disk for several connections.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin examples/ramdisk

serve ./ramdisk.so size=64M
sock=$sock nbdsh -c - <<'PYTHON'
import os
uri = "nbd+unix:///?socket=" + os.environ["sock"]
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(uri)
assert not h.is_read_only() and h.can_flush() and h.can_fua()
assert h.can_trim() and h.can_zero() and h.can_fast_zero() and h.can_multi_conn()
PAGE = 32768
DATA, HOLE = 0, 3

def extents(count, offset):
    got = []
    def add(context, start, entries, error):
        assert start == offset, start
        got.extend(zip(entries[::2], entries[1::2]))
    h.block_status(count, offset, add)
    return got

assert extents(1 << 20, 0) == [(1 << 20, HOLE)]
h.pwrite(b"x" * 10, 3 * PAGE - 5, nbd.CMD_FLAG_FUA)
assert extents(1 << 20, 0) == [(2 * PAGE, HOLE), (2 * PAGE, DATA), ((1 << 20) - 4 * PAGE, HOLE)]
assert extents(10, 3 * PAGE - 100) == [(10, DATA)]
assert h.pread(20, 3 * PAGE - 10) == bytes(5) + b"x" * 10 + bytes(5)

h.trim(PAGE - 1, 2 * PAGE)  # not a whole page
assert extents(PAGE, 2 * PAGE) == [(PAGE, DATA)]
assert h.pread(10, 3 * PAGE - 5) == bytes(4) + b"x" * 6
h.trim(PAGE, 2 * PAGE)
assert extents(PAGE, 2 * PAGE) == [(PAGE, HOLE)]
h.zero(PAGE, 3 * PAGE, nbd.CMD_FLAG_NO_HOLE)
assert extents(PAGE, 3 * PAGE) == [(PAGE, DATA)]
assert h.pread(PAGE, 3 * PAGE) == bytes(PAGE)
h.zero(PAGE, 3 * PAGE, nbd.CMD_FLAG_FAST_ZERO)
assert extents(4 * PAGE, 0) == [(4 * PAGE, HOLE)]

other = nbd.NBD()
other.connect_uri(uri)
other.pwrite(b"other", 1 << 20)
assert h.pread(5, 1 << 20) == b"other"
h.zero(64 << 20, 0)
assert extents(64 << 20, 0) == [(64 << 20, HOLE)]
PYTHON

uri="nbd+unix:///?socket=$sock"
head -c 5000000 /dev/urandom >image
truncate -s 64M image
nbdcopy image "$uri"
nbdcopy "$uri" copy
cmp image copy
[ "$(nbdinfo --map --totals "$uri" | awk '$NF == "data" { print $1 }')" -lt 6000000 ] ||
    fail "the copy is not sparse"
