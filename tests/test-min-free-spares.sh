#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With less than min-free left (here in percent, on a tmpfs) no spare disk is
# made, which is logged once; they are made when there is room again.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
use_tmpdir full
mount -t tmpfs -o size=40M tmpfs "$TMPDIR" || skip "needs to mount a tmpfs"
at_exit "umount '$TMPDIR'"
head -c 30M /dev/zero >"$TMPDIR/fill"
at_exit "rm -f '$TMPDIR/fill'"

serve -v "$plugin" size=1M command=: min-free=50% spare-disks=3
wait_for 20 grep -q 'spare disk not made' "$log" || fail "no word about spares"
has "$log" "parameter min-free: too little is free in $TMPDIR"
has "$log" "(50%)"
refused
rm "$TMPDIR/fill"
wait_for 30 grep -q 'spare disks can be made again' "$log" || fail "no spares with room"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
[ "$(grep -c 'error: spare disk not made' "$log")" -eq 1 ] || fail "logged more than once"
