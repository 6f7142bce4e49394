#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With socket activation on TCP every client is watched, those included that
# were waiting before the server ran; with client-timeout=0 none is.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires ss

watched() {
    [ "$(ss -Htno state established "sport = :$(cat port)" | grep -c keepalive)" -eq "$1" ]
}

# activate TIMEOUT WATCHED: three clients wait, then the server is started, then
# two more come.
activate() {
    rm -f port pid
    /usr/bin/python3 - "$plugin" client-timeout="$1" >nbdkit.log 2>&1 <<'PYTHON' &
import os, socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
clients = [socket.create_connection(s.getsockname()) for _ in range(3)]
open("port", "w").write(str(s.getsockname()[1]))
if os.fork() == 0:  # nbdkit
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp("nbdkit", ["nbdkit", "-f", "-P", "pid", *sys.argv[1:], "size=10M"])
clients += [socket.create_connection(s.getsockname()) for _ in range(2)]
for c in clients:
    assert c.recv(4) == b"NBDM"  # the server has come to it
open("served", "w").close()
while os.path.exists("served"):
    time.sleep(0.05)
for c in clients:
    c.close()
time.sleep(3600)
PYTHON
    # nbdkit ends with who activated it.
    at_exit "kill $!; wait $! || :"
    wait_for 30 test -e served || fail "not all are served"
    server=$(cat pid)
    wait_for 10 watched "$2" ||
        fail "want $2 watched: $(ss -tno "sport = :$(cat port)")"
    rm served # they hang up, else nbdkit would wait for them
    stop_server "$server"
}

activate 1h 5
activate 0 0
