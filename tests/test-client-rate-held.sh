#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A request that is held back for an hour keeps neither its disk when its client is
# killed, nor the server from ending, nor another user's requests.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$work"

disks() { find "/proc/$server/fd" -lname "$TMPDIR/* (deleted)" | wc -l; }
disks_are() { [ "$(disks)" -eq "$1" ]; }

# held USER: its client, in the background, whose next requests wait for an hour.
held() {
    rm -f ready
    user=$1 talk >client.log 2>&1 <<'PYTHON' &
os.seteuid(int(os.environ["user"]))
c = connect("")
c.pwrite(bytes(1 << 20), 0)                         # more than the burst: it is free
cookies = [c.aio_pwrite(bytes(4096), 0) for i in range(64)]
for i in range(10):
    c.poll(20)
want(any(c.aio_command_completed(i) for i in cookies), False)
os.seteuid(0)
open("pid", "w").write(str(os.getpid()))
os.rename("pid", "ready")
time.sleep(1000)
PYTHON
    wait_for 20 test -e ready || fail "the client is not held back: $(cat client.log)"
    client=$(cat ready)
    at_exit "kill -KILL $client 2>/dev/null || :"
}

serve "$plugin" size=10M type=swap client-rate=256
chmod 666 "$sock"
held 0
disks_are 1 || fail "$(disks) disks"
talk <<'PYTHON'
os.seteuid(65534)
c = connect("")
c.pread(100, 0)
PYTHON
kill -KILL "$client"
wait_for 10 disks_are 0 || fail "$(disks) disks are left"

held 65533
stop_server "$server" child # which fails when it does not end in 15 s
