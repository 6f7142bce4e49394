#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command that links $disk to a file that stays: clients are turned away, with
# an error that says what to do, and do not share the file.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

printf %s hello >base
truncate -s 1M base
# shellcheck disable=SC2016 # for the command
link='ln -sf "$image" "$disk"'
serve "$plugin" size=0 image="$work/base" command="$link"
refused
has "$log" "linked its disk to $work/base, which all clients would share and change"
has "$log" "cp --reflink=auto"
stop_server "$server"
[ "$(head -c 5 base)" = hello ] || fail "a client has changed the file"
