#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Zeroing: with a hole the space is free, without one it stays allocated, with
# fast-zero it succeeds at once, and in each case only the range asked for is
# zero.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=200M command=:
nbdsh -c - <<PYTHON
h.add_meta_context("base:allocation")
h.connect_uri("$uri")
assert h.can_zero() and h.can_fast_zero()
MiB = 1 << 20
def allocated(offset, count):
    "bytes of the range that are not a hole"
    at, total = offset, 0
    def extent(context, start, entries, error):
        nonlocal at, total
        for length, flags in zip(entries[::2], entries[1::2]):
            length = min(length, offset + count - at)
            if not flags & nbd.STATE_HOLE:
                total += length
            at += length
    while at < offset + count:
        h.block_status(offset + count - at, at, extent)
    return total
for flags, want in ((0, 0), (nbd.CMD_FLAG_NO_HOLE, 4 * MiB),
                    (nbd.CMD_FLAG_FAST_ZERO, 0),
                    (nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE, 4 * MiB)):
    h.pwrite(b"z" * (8 * MiB), 0)
    h.zero(4 * MiB, 2 * MiB, flags)
    assert h.pread(8 * MiB, 0) == b"z" * 2 * MiB + bytes(4 * MiB) + b"z" * 2 * MiB
    got = allocated(2 * MiB, 4 * MiB)
    assert got == want, (flags, got, want)
    h.pwrite(b"y" * 5000, MiB)
    h.zero(1000, MiB + 10, flags)
    assert h.pread(5000, MiB) == b"y" * 10 + bytes(1000) + b"y" * 3990
# More than the 64 MiB of which nbdkit would make plain writes.
h.pwrite(b"end", 150 * MiB)
h.zero(180 * MiB, 0)
assert h.pread(3, 150 * MiB) == bytes(3)
PYTHON
