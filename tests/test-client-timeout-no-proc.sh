#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Where there is no /proc, dead clients are noticed all the same.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root unshare ss
port=$(python3 -c '
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
# shellcheck disable=SC2016 # for the inner shell
unshare -m sh -c 'umount -l /proc && exec "$@"' - \
    nbdkit -f -i 127.0.0.1 -p "$port" -P pid "$plugin" size=10M client-timeout=1h >nbdkit.log 2>&1 &
server=$!
at_exit "stop_server $server child"
wait_for 30 test -s pid || fail "nbdkit did not start listening"
exec {client}<>"/dev/tcp/127.0.0.1/$port"
# In use by the client, on the server's side.
timed() {
    ss -Htno state established "sport = :$port" | grep -q keepalive
}
wait_for 20 timed || fail "the connection has no timer"
exec {client}>&-
