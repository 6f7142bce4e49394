# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced after lib.sh by tests about what a command leaves running.

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

# A command begins with this. It leaves processes that fork twice, begin a
# session, ignore signals, are stopped, and keep forking for a while.
# shellcheck disable=SC2016,SC2034 # for the command
leavers="export LEAVER=$leaver"'
sleep 1000 &
(sleep 1000 & sleep 1000 &)
setsid -f sh -c "trap \"\" HUP INT TERM; while :; do sleep 1; done"
setsid -f sh -c "kill -STOP \$\$; sleep 1000"
roll() { [ "$1" -le 0 ] || (sleep 0.01; roll $(($1 - 1))) & }
roll 500
'
