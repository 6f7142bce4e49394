# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests about what a command leaves running: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Other tests run at the same time, with processes of their own.
leaver=${TMPDISK_TEST_DIR##*.}

# left prints how many processes of commands there are.
left() {
    grep -lsz "^LEAVER=$leaver\$" /proc/[0-9]*/environ 2>/dev/null | wc -l
}

none_left() {
    [ "$(left)" -eq 0 ]
}

some_left() {
    [ "$(left)" -ge 5 ]
}

# A command begins with one of these. The first leaves processes that fork twice,
# ignore signals, are stopped, and keep forking for a while; the second some more
# that begin a session of their own.
# shellcheck disable=SC2016,SC2034 # for the command
group_leavers="export LEAVER=$leaver"'
stubborn="trap \"\" HUP INT TERM; while :; do sleep 1; done"
stopped="kill -STOP \$\$; sleep 1000"
sleep 1000 &
(sleep 1000 & sleep 1000 &)
sh -c "$stubborn" &
sh -c "$stopped" &
roll() { [ "$1" -le 0 ] || (sleep 0.01; roll $(($1 - 1))) & }
roll 500
'
# shellcheck disable=SC2016,SC2034 # for the command
leavers=$group_leavers'
setsid -f sh -c "$stubborn"
setsid -f sh -c "$stopped"
'

# kill_server_with_leavers: kill the server while a client waits for a command
# that has begun so, made "started" in $work, and goes on. All of it must end.
kill_server_with_leavers() {
    local client
    nbdsh -u "$uri" -c pass 2>/dev/null &
    client=$!
    wait_for 10 test -e "$work/started" || fail "the command did not start"
    wait_for 5 some_left || fail "only $(left) processes"
    : >"$work/stopped.$server"
    kill -KILL "$server"
    wait_for 5 none_left || fail "$(left) processes after the server was killed"
    wait "$client" || :
}
