#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# command-user=LOW-HIGH: each command has a user of its own and sees no other's disk;
# nothing of the user outlives it.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work"
# Two commands wait for each other, so that they run at one time.
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M work="$work" command-user=1234568000-1234568003 \
    command="$leavers"'
    id -u >"$work/uid.$$.$(id -u)"
    echo "$disk" >"$work/disk.$(id -u)"
    while [ "$(ls "$work" | grep -c "^disk")" -lt 2 ]; do sleep 0.05; done
    for f in "$work"/disk.*; do
        [ "$(cat "$f")" = "$disk" ] || { cat "$(cat "$f")"; } 2>/dev/null &&
            [ "$(cat "$f")" != "$disk" ] && exit 9
    done
    mkfs.ext4 -q -F "$disk"'
nbdsh -u "$uri" -c 'h.pread(512, 0)' &
first=$!
nbdsh -u "$uri" -c 'h.pread(512, 0)'
wait "$first"
none_left || fail "$(left) processes"
[ "$(cat uid.* | sort | tr '\n' ' ')" = "1234568000 1234568001 " ] ||
    fail "the commands ran as $(cat uid.*)"
exercise
