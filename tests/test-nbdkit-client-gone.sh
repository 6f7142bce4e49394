#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A callback that waits learns that its client has gone, or that the server is
# to end, and which. A connection that is opened too late is closed.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/client

logged() { wait_for 10 grep -q "error: $1\$" "$log" || fail "not in the log: $1"; }

cat >wait.py <<'END'
import nbd, sys
h = nbd.NBD()
h.connect_uri("nbd+unix:///%s?socket=%s" % (sys.argv[1], sys.argv[2]))
h.pread(512, 0)
END

# waiting_client EXPORT TEXT: a client of EXPORT waits, as TEXT in the log says.
waiting_client() {
    /usr/bin/python3 wait.py "$1" "$sock" 2>client.log &
    waiting=$!
    logged "$2"
}

hang_up() {
    kill -KILL "$waiting"
    wait "$waiting" || :
}

serve ./client.so
waiting_client patient opening
hang_up
logged "opened: the client has gone"
logged "the client has gone"
! grep closed "$log" || fail "closed what was not open"
stop_server "$server" child

serve ./client.so
waiting_client late opening
hang_up
logged "opened: the client has gone"
logged closed
waiting_client read reading
hang_up
logged "the client has gone"
uri="nbd+unix:///panic?socket=$sock" refused
has "$log" "open: panic: on purpose"
has "$log" "main.plugin.Open.func1("
stop_server "$server" child

serve ./client.so
waiting_client patient opening
stop_server "$server" child
has "$log" "opened: the server is to end"
wait "$waiting" || :
