#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# After the machine has been started again, a session is refused and its disk is
# removed; with session-sync=yes it goes on, with what was not flushed by clients who
# were connected when the server was ended. So it does if only the server was started
# again.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root unshare
args=("$plugin" size=10M type=swap session-grace=1h session-dir="$sessions")

serve "${args[@]}"
writes swap/lost x
stop_server "$server"
serve "${args[@]}" session-sync=yes
writes swap/kept y
stop_server "$server"

rebooted
serve "${args[@]}"
refuses swap/lost
logged 'the machine has been started again'
finds swap/kept y
fresh swap/other
kept_is '*.disk' 2 || fail "want two disks: $(ls "$private")"
stop_server "$server"

unset -f nbdkit
truncate -s 8M base.img
for make in type=swap base=base.img; do
    serve "$plugin" "$make" size=10M session-grace=1h session-dir="$sessions" session-sync=yes
    : >"stopped.$server"
    server=$server make=$make talk <<'PYTHON'
import signal
c = connect(os.environ["make"] + "/connected")
c.pwrite(b"not flushed", 512 * 9)
os.kill(int(os.environ["server"]), signal.SIGTERM)
PYTHON
    wait_for 10 gone "$server" || fail "the server does not end"
    rebooted
    serve "$plugin" "$make" size=10M session-grace=1h session-dir="$sessions" session-sync=yes
    finds "$make/connected" "not flushed"
    stop_server "$server"
    unset -f nbdkit
done
