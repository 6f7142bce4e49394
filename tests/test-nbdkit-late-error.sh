#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What goes wrong only after nbdkit's fork ends nbdkit with exit status 1 all the
# same, in every mode, and standard error says what it was. The plugin gets no
# further callback.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty
new_server

# fails TEXT ARGUMENTS...: nbdkit must end with exit status 1 and say TEXT.
fails() {
    local text=$1 status=0
    shift
    rm -f "$sock"
    timeout 300 nbdkit "$@" </dev/null >stdout 2>"$log" || status=$?
    [ "$status" -eq 1 ] || fail "$FAULTY: nbdkit $*: got exit status $status, want 1"
    [ ! -s stdout ] || fail "nbdkit $*: something on standard output"
    has "$log" "error: $text"
    ! grep "came later" "$log" || fail "the plugin got a callback"
}

in_every_mode() {
    fails "$1" -f -U "$sock" ./faulty.so a=b
    fails "$1" -s ./faulty.so a=b
    fails "$1" -U "$sock" -P "$pidfile" ./faulty.so a=b
    wait_for 10 gone "$(cat "$pidfile")" || fail "the server is still there"
    # The command of --run has begun already. It is not kept waiting.
    # shellcheck disable=SC2016 # for the shell that nbdkit runs
    fails "$1" -U - ./faulty.so a=b --run 'nbdinfo --size "$uri"'
    # shellcheck disable=SC2016
    fails "$1" -U - ./faulty.so a=b --run '! nbdinfo --list "$uri"'
}

later=preconnect:later,open:later,list_exports:later,default_export:later,cleanup:later,unload:later
for at in config config_complete get_ready after_fork; do
    export FAULTY=$at:late,$later
    in_every_mode "$at: wrong on purpose"
done
for at in get_ready after_fork; do
    FAULTY=$at:panic,$later
    in_every_mode "after_fork: panic: on purpose"
    fails "after_fork: panic: on purpose" -f -U "$sock" ./faulty.so a=b
    has "$log" "testplugin/faulty/faulty.go"
done

# A plugin may also end the server itself, as in C.
for at in get_ready after_fork; do
    rm -f "$sock"
    FAULTY=$at:exit0 nbdkit -U "$sock" ./faulty.so
    FAULTY=$at:exit3 fails "the server ended before it was ready" -U "$sock" ./faulty.so
    FAULTY=$at:goroutine fails "the server ended before it was ready" -U "$sock" ./faulty.so
done

# Whoever waits for a server that never gets ready can end that.
rm -f "$sock" "$pidfile"
FAULTY=get_ready:hang nbdkit -U "$sock" -P "$pidfile" ./faulty.so &
waits=$!
wait_for 10 test -s "$pidfile" || fail "no pid file"
kill -TERM "$waits"
wait_for 10 gone "$waits" || fail "SIGTERM does not end the process that was started"
kill -KILL "$(cat "$pidfile")"
