#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: a server that is drained gets no new clients. Whoever is
# connected there goes on, until the server is stopped. When it is ready again, it has
# its clients again. Only root can say so.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

serve_three
balance
[ "$(stat -c '%a %u' admin)" = "600 0" ] || fail "the socket's mode is $(stat -c '%a %u' admin)"
become_clients >client.log 2>&1 <<'PYTHON' &
addresses = ["10.7.0.%d" % i for i in range(1, 61)]
there = {a: connect(a) for a in addresses}
first = {a: server(c) for a, c in there.items()}
for i, c in enumerate(there.values()):
    c.pwrite(b"%8d" % i, 0)

def all_go_on():
    for i, c in enumerate(there.values()):
        want(c.pread(8, 0), b"%8d" % i)
        c.pwrite(b"%8d" % i, 4096)

touch("connected")
wait_for("drained")
for a in addresses:
    now = server(connect(a))
    if now == 3 or first[a] != 3 and now != first[a]:
        sys.exit("%s was with server %d, and is with %d" % (a, first[a], now))
all_go_on()
touch("served")

wait_for("ready")
for a in addresses:
    want((a, server(connect(a))), (a, first[a]))
all_go_on()
PYTHON
client=$!
at_exit "kill $client 2>/dev/null || :"
progress() {
    [ -e "$1" ] || gone "$client"
}
wait_for 60 progress connected
runtime 'set server nbd/disks3 state drain'
touch drained
wait_for 60 progress served
runtime 'set server nbd/disks3 state ready'
touch ready
wait "$client" || fail "$(tail -n 3 client.log)"
