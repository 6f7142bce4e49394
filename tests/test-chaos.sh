#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients, I/O and faults at random (see chaos.py); TMPDISK_CHAOS_SECONDS says
# for how long, TMPDISK_CHAOS_SEED repeats a run.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export plugin full=0
export seconds=${TMPDISK_CHAOS_SECONDS:-20} seed=${TMPDISK_CHAOS_SEED-}
if [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ]; then
    small_tmpdir 64M
    full=1
fi
/usr/bin/python3 "$top_srcdir/tests/chaos.py"
