#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client that hangs up ends the command that makes its disk, and all that
# it has started.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

touch slow
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M work="$work" command="$leavers"'
    [ ! -e "$work/slow" ] || { : >"$work/started"; sleep 1000; }
    mkfs.ext4 -q -F "$disk"'
nbdsh -u "$uri" -c pass 2>/dev/null &
client=$!
wait_for 10 test -e started || fail "the command did not start"
wait_for 5 some_left || fail "only $(left) processes"
kill -KILL "$client"
wait_for 5 none_left || fail "$(left) processes after the client was killed"
rm slow
exercise
