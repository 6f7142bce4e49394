#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A TMPDIR in which others can replace files ends nbdkit before it forks. One that
# becomes so later gets no command's disk.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_tmpdir open
chmod 777 "$TMPDIR"
for mode in -f ''; do
    status=0
    # shellcheck disable=SC2086 # no argument if empty
    timeout 300 nbdkit $mode -U "$work/sock" "$plugin" size=1M 2>err.log || status=$?
    [ "$status" -eq 1 ] || fail "status $status, want 1: nbdkit $mode"
    has err.log "TMPDIR: $TMPDIR: mode 0777"
    has err.log "chmod +t"
done

chmod 1777 "$TMPDIR"
# shellcheck disable=SC2016 # the command's own
serve "$plugin" size=1M command='touch "$disk"; truncate -s 1M "$disk"'
chmod 777 "$TMPDIR"
refused
wait_for 10 grep -q "error: .*$TMPDIR: mode 0777" "$log" || fail "not in the log"
