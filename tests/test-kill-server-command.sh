#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# kill -9 of the server ends the command that it runs. The directory that is
# left is removed by the next server; what is not the dead server's stays.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

touch slow
# shellcheck disable=SC2016 # for the command
start() {
    serve "$plugin" size=10M work="$work" command="$leavers"'
        chmod 755 "${disk%/*}" # as cp -a and tar do
        [ ! -e "$work/slow" ] || { : >"$work/started"; sleep 1000; }
        mkfs.ext4 -q -F "$disk"'
}
start
kill_server_with_leavers
[ "$(find "$TMPDIR" -name disk | wc -l)" -eq 1 ] || fail "no disk was left: the test tests nothing"

keep=$TMPDIR/nbdkit-tmpdisk-0123456789abcdef012x
mkdir -m 700 "$keep"
rm slow
start
# nbdkit writes its pid file before the plugin has started.
only_keep() { [ "$(ls "$TMPDIR")" = "${keep##*/}" ]; }
wait_for 10 only_keep || fail "in TMPDIR: $(ls "$TMPDIR")"
rmdir "$keep"
exercise
