#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# At whatever step the server is killed, or the filesystem fails it, a client finds
# what it was told is written, and no unfinished file stays.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires strace
strace -o /dev/null true 2>/dev/null || skip "may not trace"
args=("$plugin" size=4M type=swap session-grace=1h session-dir="$sessions" session-sync=yes)
killed=0 runs=0

# traced INJECTION: serve, and have strace do that.
traced() {
    new_server
    rm -f "$sock" "$pidfile"
    strace -f -q -o /dev/null -e "trace=${1%%:*}" -e "inject=$1" \
        nbdkit -f -v -U "$sock" -P "$pidfile" "${args[@]}" >"$log" 2>&1 &
    server=$!
    wait_for 30 server_decided "$server" "$pidfile" || fail "neither serves nor ends"
    runs=$((runs + 1))
}

# traced_later INJECTION: the same, once the server has started.
traced_later() {
    serve -v "${args[@]}"
    : >"stopped.$server" # settled stops it
    trace "$1"
    # It misses threads that are made while it attaches to others.
    until all_traced || gone "$server"; do
        kill "$tracer"
        wait "$tracer" || :
        trace "$1"
    done
    runs=$((runs + 1))
}

trace() {
    strace -f -o /dev/null -e "trace=${1%%:*}" -e "inject=$1" -p "$server" 2>tracer.log &
    tracer=$!
    wait_for 10 attached || fail "not traced"
}

attached() {
    grep -q attached tracer.log || gone "$tracer"
}

all_traced() {
    ! grep -L '^TracerPid:.*[1-9]' "/proc/$server/task"/*/status 2>/dev/null | grep -q .
}

# visit: a client comes twice and notes in the file told what it is told: the disk's
# UUID, and what it writes to which block.
visit() {
    talk <<'PYTHON' >visit.log 2>&1 || return 0
def note(*what):
    with open("told", "a") as f:
        print(*what, file=f)
for n in (1, 2):
    c = connect("swap/one")
    note("uuid", c.pread(16, 1036).hex())
    for i in range(3):
        block = len(open("told").readlines())
        c.pwrite(bytes([block]) * 4096, block * 4096)
        note(block)
        c.flush()
    c.shutdown()
PYTHON
}

# settled: what the client was told is true, once an ordinary server is there.
settled() {
    local status=0
    # What strace traces ends first.
    kill -TERM "$(cat "$pidfile")" 2>/dev/null || :
    wait "$server" 2>/dev/null || status=$?
    [ -z "${tracer-}" ] || wait "$tracer" || :
    tracer=
    [ "$status" -ne 137 ] || killed=$((killed + 1))
    serve "${args[@]}"
    talk <<'PYTHON' || fail "$1: $(cat told visit.log)"
c = connect("swap/one")
got = c.pread(16, 1036).hex()
for line in open("told"):
    if line.startswith("uuid"):
        want(got, line.split()[1])
    else:
        want(c.pread(4096, int(line) * 4096), bytes([int(line)]) * 4096)
PYTHON
    stop_server "$server"
    kept_is '*.tmp.*' 0 || fail "$1: left: $(ls "$private")"
}

# killed_at CALL N BEFORE TRACED: kill the server, traced so, when one of its threads
# makes CALL for the Nth time. Fails if none did.
killed_at() {
    local killed_before=$killed
    rm -rf "$private" told
    : >told
    if [ "$3" = session ]; then
        serve "${args[@]}"
        visit
        stop_server "$server"
    fi
    "$4" "$1:signal=KILL:when=$2"
    visit
    settled "killed at $1 $2, $3 before"
    [ "$killed" -gt "$killed_before" ]
}

for call in linkat renameat fsync unlinkat ftruncate fdatasync; do
    for before in nothing session; do
        for n in 1 2 3 4 5 6 7 8 9; do
            killed_at "$call" "$n" "$before" traced_later || break
        done
    done
done

[ "$killed" -ge 12 ] || fail "killed only $killed servers"

# While it starts, it tries what the filesystem can do, and makes these.
for call in linkat unlinkat ftruncate; do
    for n in 1 2 3 4 5 6 7 8 9; do
        killed_at "$call" "$n" nothing traced || break
    done
done

for fault in fsync:error=EIO renameat:error=ENOSPC linkat:error=EXDEV; do
    for n in 1 2 3 1+; do
        rm -rf "$private" told
        : >told
        traced "$fault:when=$n"
        visit
        # Whoever was refused has left nothing.
        [ -s told ] || kept_is '*' 0 || fail "$fault $n: left: $(ls "$private")"
        settled "$fault $n"
    done
done

# A disk that can have no name there is cloned.
rm -rf "$private" told
: >told
traced_later linkat:error=EXDEV:when=1+
visit
logged 'disk cloned'
settled "no link"
echo "$runs runs, $killed servers killed"
