# shellcheck shell=sh
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The first process of a command runs this where there is no namespace. It waits
# at the gate, descriptor 3, then runs the command, descriptors 4 and 5, and
# waits for it.
#
# The gate stays open as long as the server lives. The process in parentheses
# reads its end when the server dies, and then kills the process group, itself
# included. It forks nothing for that, so it can do so even if the command has
# used up its user's processes.

read -r _ <&3 || exit 125
(read -r _; kill -9 0) <&3 3<&- 4<&- 5<&- &
exec 3<&-
/bin/sh -c '. /proc/self/fd/4; . /proc/self/fd/5' command
code=$?
{ kill -9 $!; wait; } 2>/dev/null
exit $code
