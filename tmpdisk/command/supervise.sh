# shellcheck shell=sh
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The first process of a PID namespace runs this. It waits at the gate,
# descriptor 3, then runs the command, descriptors 4 and 5, and waits for it.
#
# The line that opens the gate is a process number. The next process in this
# namespace gets the number after that, which makes $$ what it would be without
# a namespace: unlike that of any other command running now. Scripts name
# temporary files so. $$ is a small number where that is not permitted: in a
# command that runs as another user, and where /proc/sys is mounted read-only.
#
# The last line is there because a shell may replace itself with the last
# command of its script.

read -r go <&3 || exit 125
exec 3<&-
echo "$go" 2>/dev/null >/proc/sys/kernel/ns_last_pid
/bin/sh -c '. /proc/self/fd/4; . /proc/self/fd/5' command
exit $?
