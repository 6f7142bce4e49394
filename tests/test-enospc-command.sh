#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When there is no room to make a disk the client is refused, nothing is left,
# and the next one is served once there is room.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

small_tmpdir 30M
touch fill
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M fill="$work/fill" command='
    [ ! -e "$fill" ] || head -c 40000000 /dev/urandom >"$disk" || exit
    mkfs.ext4 -q -F "$disk"'
refused
has "$log" "No space left"
[ -z "$(ls -A "$TMPDIR")" ] || fail "left behind: $(ls -A "$TMPDIR")"
rm fill
exercise
