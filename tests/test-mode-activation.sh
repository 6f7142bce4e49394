#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit serves on a socket that was opened by systemd, or whoever follows its
# protocol: descriptor 3, LISTEN_FDS and LISTEN_PID.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

uri="nbd+unix:///?socket=$work/sock"
/usr/bin/python3 - "$plugin" >nbdkit.log 2>&1 <<'PYTHON' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("sock")
s.listen(5)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp("nbdkit", ["nbdkit", "-f", "-P", "pid", sys.argv[1], "size=10M"])
PYTHON
server=$!
at_exit "stop_server $server"
wait_for 10 test -s pid || fail "no pid file"
exercise
