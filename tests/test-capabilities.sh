#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What a client is told that it may do with a disk of its own.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
nbdsh -u "$uri" -c - <<'PYTHON'
want = dict(is_read_only=False, can_flush=True, can_fua=True, can_trim=True,
            can_zero=True, can_fast_zero=True, can_df=True, can_cache=True,
            can_multi_conn=False, is_rotational=False)
got = {name: bool(getattr(h, name)()) for name in want}
assert got == want, got
minimum = h.get_block_size(nbd.SIZE_MINIMUM)
preferred = h.get_block_size(nbd.SIZE_PREFERRED)
assert minimum == 1, minimum
assert preferred >= 512 and preferred & (preferred - 1) == 0, preferred
h.pwrite(b"f" * 512, 0, nbd.CMD_FLAG_FUA)
h.flush()
h.cache(1 << 20, 0)
PYTHON
