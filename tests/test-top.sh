#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# On a terminal, nbdkit-tmpdisk-top shows the disks of two servers and what they do,
# sorts, scrolls and fits a terminal that changes its size; q leaves it as it was.

# shellcheck source=top.sh
. "$(dirname "$0")/top.sh"

# first: the server and the number of the disk in the first row.
first() {
    screen | sed -n '/^DISK/{n;s/^\([0-9]*\)  *\([a-z]*\).*/\2 \1/p}'
}
first_is() { [ "$(first)" = "$1" ]; }
must_begin() {
    wait_for 30 first_is "$1" || {
        screen
        fail "the first row is not of $1"
    }
}

status_files status
on_terminal 120 30
enter 'stty -g >before'
enter "$top --interval 0.5 status; echo status \$?"
must_show "lab 9.8.7  pid $writer  up"
must_show "free 12G of 100G  making 3  waiting 2  commands 1  spares 4  disks 20"
must_show "disks 40  connected 30  waiting 10  size 40G"
must_show "1-25 of 40  q quit"
must_begin "lab 1"
# The rate of disk 5.
wait_for 30 eval 'screen | grep -qE "^5 +lab .* 5\.0M +1\.3k "' || { screen; fail "no rates"; }

press r
must_begin "lab 20"
press r End
must_show "16-40 of 40"
press Home
# Seven columns to the right is what a disk takes, the largest first.
press Right Right Right Right Right Right Right
must_show "ALLOCv"
must_begin "lab 1"
press r
must_begin "lab 20"

tmux -S tmux resize-window -x 40 -y 10
must_show "1-5 of 40"
screen >small
[ "$(wc -l <small)" -eq 10 ] || { cat small; fail "not ten lines"; }
must_show "DISK  PEER        STATE      ALLOC^"
must_show "20    192.0.2.20  waiting      1.0M"
tmux -S tmux resize-window -x 200 -y 50
must_show "SESSION"
must_show "CN=seat 20"

press q
must_show "status 0"
must_be_sane
! shows "DISK" || fail "the table stayed on the terminal"
