#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Where locks do not work session-dir is refused, with an error that names it and says
# what to do, and clients of sessions are turned away; others are served.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires strace
strace -o /dev/null true 2>/dev/null || skip "may not trace"

# without_locks FAULT WHY: flock(2) does that, and so the directory is refused.
without_locks() {
    echo "$1"
    new_server
    strace -f -q -o /dev/null -e trace=flock -e "inject=flock:$1" \
        nbdkit -f -U "$sock" -P "$pidfile" "$plugin" size=4M type=swap session-grace=1h session-dir="$sessions" >"$log" 2>&1 &
    server=$!
    wait_for 30 server_decided "$server" "$pidfile" || fail "neither serves nor ends"
    logged "parameter session-dir: lock: $private: $2: name a directory on a filesystem that has locks"
    refuses swap/one
    [ "$(grep -cF -e "$2" "$log")" -ge 2 ] || fail "the client's error is not in the log"
    fresh swap
    kept_is '*' 0 || fail "left: $(ls -A "$private")"
    kill -TERM "$(cat "$pidfile")"
    wait "$server" || :
}

without_locks error=ENOLCK 'no locks available'
without_locks error=ENOSYS 'function not implemented'
without_locks retval=0 'two can have the lock of one file at the same time'

# It was not the directory's fault.
serve "$plugin" size=4M type=swap session-grace=1h session-dir="$sessions"
writes swap/one hello
finds swap/one hello
