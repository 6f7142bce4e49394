#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When TMPDIR gets full in the middle of a built-in type's disk, its client is
# refused, nothing is left of it, and the next one is served once there is room.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4
small_tmpdir 40M
at_exit "rm -f '$TMPDIR/fill'"
serve "$plugin" size=16G type=ext4
client() { nbdsh -u "$uri" -c 'assert h.pread(2, 1024 + 56) == b"\x53\xef"'; }
client

# Until it is full, and then a little less than a disk needs.
head -c 100M /dev/zero >"$TMPDIR/fill" 2>/dev/null && fail "TMPDIR is not small"
truncate -s -64K "$TMPDIR/fill"
sync -f "$TMPDIR"
before=$(stat -f -c %f "$TMPDIR")
[ "$before" -gt 0 ] || fail "no block is free: the test tests nothing"
refused
has "$log" "cast: write"
has "$log" "no space left on device"
sync -f "$TMPDIR"
after=$(stat -f -c %f "$TMPDIR")
[ "$after" -eq "$before" ] || fail "$after blocks are free, $before before"
rm "$TMPDIR/fill"
client
