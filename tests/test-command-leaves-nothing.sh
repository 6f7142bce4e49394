#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What a command starts is gone when the command ends, by itself, with a
# failure, or because it takes too long.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

# shellcheck disable=SC2016 # for the command
args=("$plugin" size=10M how="$work/how" command="$leavers"'. "$how"; mkfs.ext4 -q -F "$disk"')
serve "${args[@]}"
echo : >how
exercise
none_left || fail "$(left) processes after a success"
echo 'exit 3' >how
refused
has "$log" 'exit code 3'
none_left || fail "$(left) processes after a failure"
stop_server "$server"
serve "${args[@]}" command-timeout=5s
echo 'sleep 1000' >how
refused
has "$log" 'timed out after 5s, which command-timeout allows'
none_left || fail "$(left) processes after a time-out"
echo : >how
wait_for 10 exercise # which on a busy machine times out as well
