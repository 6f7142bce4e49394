#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Silent connections that were waiting before an activated server ran cost it a few
# system calls each, however many they are. All are watched, and a client is served.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root ss strace

silent=400
/usr/bin/python3 - "$silent" "$plugin" >nbdkit.log 2>&1 <<'PYTHON' &
import os, socket, sys, time
s = socket.create_server(("127.0.0.1", 0), backlog=1024)
silent = [socket.create_connection(s.getsockname()) for _ in range(int(sys.argv[1]))]
open("port", "w").write(str(s.getsockname()[1]))
if os.fork() == 0:  # nbdkit, and strace beside it (-D)
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp("strace", ["strace", "-D", "-f", "-qq", "-o", "trace", "-e", "trace=setsockopt",
                         "nbdkit", "-f", "-t", "1", "-P", "pid", sys.argv[2], "size=10M", "client-timeout=1h"])
for c in silent:
    assert c.recv(4) == b"NBDM"  # the server has come to it
open("served", "w").close()
while os.path.exists("served"):
    time.sleep(0.05)
for c in silent:
    c.close()
time.sleep(3600)
PYTHON
at_exit "kill $!; wait $! || :"
wait_for 100 test -e served || fail "not all are served"
server=$(cat pid)

watched() {
    [ "$(ss -Htno state established "sport = :$(cat port)" | grep -c keepalive)" -eq "$silent" ]
}
wait_for 10 watched || fail "not all are watched: $(ss -tno "sport = :$(cat port)")"
nbdsh -u "nbd://127.0.0.1:$(cat port)" -c 'assert h.get_size() == 10 << 20'
sets=$(grep -c KEEPIDLE trace)
[ "$sets" -le $((5 * silent)) ] || fail "$sets connections were set, of $silent that there are"
rm served # they hang up, else nbdkit would wait for them
stop_server "$server"
