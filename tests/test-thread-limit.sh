#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A server that reaches its user's limit on processes, to which threads count,
# goes on, and serves when the limit is reached no more.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root # only root can become a user who has no other process
uid=$((1234970000 + $$ % 10000))
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d" "$work"
mkdir run
chmod 1777 "$TMPDIR" "$work" run
real=$(command -v nbdkit)
install -m 755 "$plugin" run/tmpdisk.so
touch run/slow
cat >nbdkit <<SCRIPT
#!/bin/sh
# A thread for each client of 60 and two processes for each of 50 commands.
exec prlimit --nproc=47 setpriv --reuid=$uid --regid=$uid --clear-groups $real "\$@"
SCRIPT
chmod +x nbdkit
PATH=$work:$PATH
# shellcheck disable=SC2016 # for the command
serve "$work/run/tmpdisk.so" size=1M make-jobs=50 slow="$work/run/slow" \
    command='[ ! -e "$slow" ] || sleep 2'
for round in 1 2 3; do
    sock=$sock /usr/bin/python3 - <<'PYTHON'
import os, socket, struct, time
clients = []
for _ in range(60):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(os.environ["sock"])
        s.settimeout(1)
        s.recv(18)
        s.sendall(struct.pack(">I", 3))
        s.sendall(b"IHAVEOPT" + struct.pack(">IIIH", 7, 6, 0, 0))
    except OSError:
        pass  # nbdkit itself may have no thread for it
    clients.append(s)
time.sleep(3)
PYTHON
    kill -0 "$server" || fail "the server has ended in round $round: $(tail -5 "$log")"
done
rm run/slow
served() { nbdinfo --size "$uri" >/dev/null 2>&1; }
wait_for 30 served
