#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients of sessions and their server are killed at random (see
# session-chaos.py), and all that was acknowledged is there.
# TMPDISK_CHAOS_SECONDS says for how long, TMPDISK_CHAOS_SEED repeats a run.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

export plugin sessions sock=$work/chaos.sock
export seconds=${TMPDISK_CHAOS_SECONDS:-15} seed=${TMPDISK_CHAOS_SEED-}
/usr/bin/python3 "$top_srcdir/tests/session-chaos.py"
kept_is '*.disk' 6 || fail "want six disks: $(ls "$private")"

# And the disks go in the end.
serve "$plugin" size=1M command=: session-dir="$sessions" session-grace=1s
wait_for 20 kept_is '*.disk' 0 || fail "left: $(ls "$private")"
