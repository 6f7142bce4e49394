# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of sessions: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# session-dir=, and what the plugin makes in it.
sessions=$work/sessions
private=$sessions/nbdkit-tmpdisk-sessions-$(id -u)
mkdir -m 700 "$sessions"
sessions_stay

# talk: run the Python of standard input as a client of $sock, with the functions
# below, and with the words of $as in front.
as=()
talk() {
    sock=$sock "${as[@]}" nbdsh -c 'import errno, os, sys, time
def connect(name):
    c = nbd.NBD()
    c.set_export_name(name)
    c.connect_unix(os.environ["sock"])
    return c
def refused(name):
    try:
        connect(name)
    except nbd.Error:
        return
    sys.exit("%s was not refused" % name)
def want(got, expected):
    if got != expected:
        sys.exit("got %.40r, want %.40r" % (got, expected))
' -c -
}

# writes NAME TEXT: a client of that name begins its disk with TEXT and goes.
writes() {
    talk <<<"c = connect('$1'); c.pwrite(b'$2', 512 * 9); c.flush(); c.shutdown()"
}

# finds NAME TEXT: a client of that name has the disk with TEXT.
finds() {
    talk <<<"want(connect('$1').pread(len('$2'), 512 * 9), b'$2')"
}

# fresh NAME: a client of that name has a disk that nobody has written to.
fresh() {
    talk <<<"want(connect('$1').pread(8, 512 * 9), bytes(8))"
}

# refuses NAME: a client of that name is turned away.
refuses() {
    talk <<<"refused('$1')"
}

# logged TEXT: it is in the log by now, or soon.
logged() {
    wait_for 10 grep -qF -e "$1" "$log" || has "$log" "$1"
}

# kill_server: as kill -9 does.
kill_server() {
    : >"stopped.$server"
    kill -KILL "$server" 2>/dev/null || : # the test may have done so
    { wait "$server" || :; } 2>/dev/null
    wait_for 10 gone "$server"
}

# replace_server: as systemd does, TERM, and KILL for one that clients keep.
replace_server() {
    : >"stopped.$server"
    kill -TERM "$server" 2>/dev/null || :
    within "${1:-1}" gone "$server" || kill -KILL "$server"
    { wait "$server" || :; } 2>/dev/null
}

# again ARGUMENTS...: serve on the last server's socket. In the end this one stops
# after the clients that were there before it.
again() {
    local last=${#at_exit_stack[@]}
    servers=$((servers - 1))
    rm -f "$sock" "$pidfile"
    cat "$log" >>earlier.log
    serve "$@"
    at_exit_stack=("${at_exit_stack[last]}" "${at_exit_stack[@]:0:last}")
}

# kept PATTERN: how many of the files in the private directory have such a name.
kept() {
    find "$private" -type f -name "$1" 2>/dev/null | wc -l
}

# kept_is PATTERN N
kept_is() {
    [ "$(kept "$1")" -eq "$2" ]
}

# rebooted: let further servers find another boot ID.
rebooted() {
    cat /proc/sys/kernel/random/uuid >boot_id
    nbdkit() {
        # shellcheck disable=SC2016 # for sh
        exec unshare -m sh -c 'mount --bind boot_id /proc/sys/kernel/random/boot_id && exec nbdkit "$@"' sh "$@"
    }
}
