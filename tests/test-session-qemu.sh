#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# qemu with reconnect-delay goes on with its disk over 20 servers, half of them
# killed, and finds all that it has written.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires qemu-io
args=("$plugin" size=64M type=swap session-grace=1h session-dir="$sessions")
serve "${args[@]}"
echo 0 >count
options="driver=nbd,server.type=unix,server.path=$sock,export=swap/vm,reconnect-delay=60"
/usr/bin/python3 "$top_srcdir/tests/session-qemu.py" "$options" &
client=$!
at_exit "kill $client 2>/dev/null || :"

went_on() {
    [ "$(cat count)" -gt "$before" ] || gone "$client"
}

before=0
for ((i = 0; i < 20; i++)); do
    wait_for 20 went_on || fail "stuck with server $i"
    # Kept until the next one: a request may have had its answer just before.
    rm -f ending
    if [ $((i % 2)) -eq 0 ]; then
        : >ending
        replace_server 1
    else
        kill_server
    fi
    again "${args[@]}"
    before=$(cat count)
done
wait_for 20 went_on || fail "stuck with the last server"
: >enough
wait "$client" || fail "qemu-io has found a fault"
