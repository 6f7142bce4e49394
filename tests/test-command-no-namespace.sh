#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Where no namespace is permitted, the log says how commands are contained. What a
# command starts in its process group is ended with it, and when the server is
# killed; what begins a session of its own is not.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

# A user namespace in which there may be no further ones.
unshare -Ur true 2>/dev/null || skip "needs user namespaces, to forbid more of them"
# shellcheck disable=SC2016 # for sh
cat >nbdkit <<'SCRIPT'
#!/bin/sh
exec unshare -Ur sh -c '
for f in user pid mnt; do echo 0 >/proc/sys/user/max_${f}_namespaces; done
PATH=$OLD_PATH; exec nbdkit "$@"' sh "$@"
SCRIPT
chmod +x nbdkit
OLD_PATH=$PATH
export OLD_PATH
PATH=$work:$PATH

# shellcheck disable=SC2016 # for the command
args=("$plugin" size=10M work="$work" how="$work/how"
    command="$group_leavers"'. "$how"; mkfs.ext4 -q -F "$disk"')
serve "${args[@]}" command-timeout=5s
echo 'sleep 1000' >how
refused
has "$log" 'timed out after 5s, which command-timeout allows'
wait_for 5 none_left || fail "$(left) processes after a time-out"
stop_server "$server"

serve "${args[@]}"
echo : >how
exercise
has "$log" 'commands are contained only by their process group'
wait_for 5 none_left || fail "$(left) processes after a success"
echo 'exit 3' >how
refused
has "$log" 'exit code 3'
wait_for 5 none_left || fail "$(left) processes after a failure"

# shellcheck disable=SC2016 # for the command
echo 'setsid -f sh -c "echo \$\$ >\"$work/pid\"; sleep 1000; :"
while ! [ -s "$work/pid" ]; do sleep 0.01; done' >how
nbdsh -u "$uri" -c 'h.pread(512, 0)'
away() { [ "$(left)" -eq 2 ]; } # it and its sleep
wait_for 5 away || fail "$(left) processes: the manual says that a session of its own goes on"
kill -KILL -- "-$(cat pid)"
wait_for 5 none_left || fail "$(left) processes"
stop_server "$server"

# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M work="$work" \
    command="$group_leavers"': >"$work/started"; sleep 1000'
kill_server_with_leavers
rm -r "$TMPDIR"/nbdkit-tmpdisk-*
