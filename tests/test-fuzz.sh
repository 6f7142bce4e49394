#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Hostile clients harm neither the server nor those who behave well, and it
# keeps nothing of them. TMPDISK_FUZZ_SECONDS makes it longer, and
# TMPDISK_FUZZ_SEED repeats what it printed.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${TMPDISK_FUZZ_SECONDS:-15}
seed=${TMPDISK_FUZZ_SEED:-$RANDOM$RANDOM}
if [ "$(id -u)" -eq 0 ]; then
    # Small, because clients may have zeroes allocated; 5G, so that a request
    # can be for 2^32-1 bytes.
    small_tmpdir 300M
    size=5368709120
else
    size=268435456
fi
# Without this the C library keeps up to 64 MiB of freed buffers for each of its
# arenas, in which no leak would be seen.
export MALLOC_MMAP_THRESHOLD_=65536 MALLOC_ARENA_MAX=2
serve "$plugin" size="$size" command=:
# TMPDISK_TEST_KEEP: a directory for what is needed to repeat a failure.
/usr/bin/python3 "$top_srcdir/tests/fuzz.py" "$sock" "$server" "$size" "$seconds" "$seed" || {
    [ -z "${TMPDISK_TEST_KEEP-}" ] || cp fuzz-last "$TMPDISK_TEST_KEEP/"
    fail "seed $seed"
}
