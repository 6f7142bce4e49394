# shellcheck shell=sh
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The first process of a command runs this where there is no namespace. It
# waits at the gate, descriptor 3, for the mark, an assignment that what the
# command starts has in its environment. Then it runs the command, descriptors
# 4 and 5, and waits for it.
#
# Besides, it starts a watcher, because the parent death signal ends only this
# process. The gate stays open as long as the server lives. When the server is
# dead the watcher reads the end of the file, and then does by shell what
# scan.go does.
#
# The watcher kills this process first. The gate may be closed before the parent
# death signal comes, and this process would then take the watcher for one that
# is no longer needed, and kill it.
#
# The watcher's own process group comes last, itself included: that takes all at
# once and cannot be outrun. It is in a trap, because dash exits when it cannot
# fork, if the command has used up its user's processes.

read -r mark <&3 || exit 125
(
	trap 'kill -9 0' EXIT
	read -r _ <&3
	kill -9 $$
	read -r self _ </proc/self/stat
	n=0
	while [ $n -lt 20 ]; do
		found=$(grep -ls "$mark" /proc/[0-9]*/task/[0-9]*/environ)
		for f in /proc/[0-9]*/stat; do
			read -r line <"$f" || continue
			# The fields after the name, of which the fourth is the session.
			# shellcheck disable=SC2086 # they are words
			set -- ${line##*) }
			[ "$4" != $$ ] || [ "$f" = "/proc/$self/stat" ] || found="$found $f"
		done
		[ -n "$found" ] || break
		for f in $found; do
			f=${f#/proc/}
			kill -9 "${f%%/*}"
		done
		n=$((n + 1))
	done
) 2>/dev/null 4<&- 5<&- &
exec 3<&-
# shellcheck disable=SC2163 # it is an assignment
export "$mark"
/bin/sh -c '. /proc/self/fd/4; . /proc/self/fd/5' command
code=$?
kill -9 $! 2>/dev/null
exit $code
