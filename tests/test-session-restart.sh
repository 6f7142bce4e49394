#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A hundred connected clients get their disks again after a restart as systemd
# does it for most services: SIGTERM, then SIGKILL after a while, and a start.
# (The unit that comes with the plugin uses SIGKILL at once, which is easier.)

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

args=("$plugin" size=10M type=swap session-grace=1h session-dir="$sessions")
serve "${args[@]}"

mkfifo restarted
talk <<'PYTHON' &
clients = [connect("swap/%d" % i) for i in range(100)]
for i, c in enumerate(clients):
    c.pwrite(b"client %3d" % i, 512 * 9)
open("connected", "w").close()
open("restarted").read()
for i, old in enumerate(clients):
    try:
        old.pwrite(b"x", 0)
    except nbd.Error:
        pass
    else:
        sys.exit("the server is still there")
    want(connect("swap/%d" % i).pread(10, 512 * 9), b"client %3d" % i)
PYTHON
client=$!
at_exit "kill $client 2>/dev/null || :"
wait_for 60 test -e connected || fail "not all clients connected"
begun=${EPOCHREALTIME/./}
replace_server 2
again "${args[@]}"
stopped=${EPOCHREALTIME/./}
: >restarted
wait "$client" || fail "a client has not got its disk"
ended=${EPOCHREALTIME/./}
echo "restart: $(((stopped - begun) / 1000)) ms; 100 clients back: $(((ended - stopped) / 1000)) ms"
kept_is '*.disk' 100 || fail "got $(kept '*.disk') disks, want 100"
