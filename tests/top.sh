# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced first, in place of lib.sh, by the tests of nbdkit-tmpdisk-top. $top is the
# program.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

top=${TMPDISK_TOP:-$builddir/nbdkit-tmpdisk-top}
[ -x "$top" ] || fail "no $top: run make"

# status_files DIR: two servers, lab and site, of 20 disks each, replace their status
# files in DIR until the test ends.
status_files() {
    mkdir "$1"
    /usr/bin/python3 "$top_srcdir/tests/top-status.py" "$1" lab site &
    writer=$!
    at_exit "kill $writer; wait $writer || :"
    wait_for 20 test -e "$1/site.json" || fail "no status files"
}

# on_terminal WIDTH HEIGHT [VARIABLE=VALUE]...: a shell in a terminal.
on_terminal() {
    requires tmux
    tmux -S tmux -f /dev/null new-session -d -x "$1" -y "$2" \
        env PS1='$ ' "${@:3}" bash --norc --noprofile
    at_exit "tmux -S tmux kill-server"
    wait_for 20 shows '$' || fail "no shell on the terminal"
}

screen() { tmux -S tmux capture-pane -p; }

# shows TEXT: it is on the terminal now.
shows() { screen | grep -qF -e "$1"; }

# must_show TEXT: it is on the terminal soon.
must_show() {
    wait_for 30 shows "$1" || {
        screen
        fail "not on the terminal: $1"
    }
}

# enter TEXT: a command for the shell.
enter() {
    tmux -S tmux send-keys -l "$1"
    tmux -S tmux send-keys Enter
}

press() { tmux -S tmux send-keys "$@"; }

# must_be_sane: the terminal is as it was when `stty -g >before` ran, and takes
# commands.
must_be_sane() {
    rm -f after
    enter 'stty -g >after.new; mv after.new after'
    wait_for 20 test -e after || {
        screen
        fail "the terminal takes no commands"
    }
    cmp before after || fail "the terminal's modes have changed"
    [ "$(tmux -S tmux display-message -p '#{alternate_on} #{cursor_flag} #{keypad_flag} #{mouse_any_flag}')" = "0 1 0 0" ] ||
        fail "the screen, cursor, keypad or mouse has another mode"
}
