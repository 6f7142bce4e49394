#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: a server that hangs, and whose kernel still answers, does not
# keep its clients: they get an error, and others serve them. The kernel looks after
# idle connections on both sides.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

requires ss
serve_three
balance
at_exit "kill -CONT ${server_pids[1]}"
begin_clients <<'PYTHON'
addresses = ["10.7.0.%d" % i for i in range(1, 31)]
there = {a: connect(a) for a in addresses}
first = {a: server(c) for a, c in there.items()}
for c in there.values():
    c.pwrite(b"mine", 0)
touch("connected")
wait_for("hangs")
for a, c in there.items():
    if first[a] == 1:
        try:
            c.pread(4, 0)
        except nbd.Error:
            c = connect(a)
            want((server(c) != 1, c.pread(4, 0)), (True, bytes(4)))
            continue
        sys.exit("%s was served" % a)
    want(c.pread(4, 0), b"mine")
PYTHON
# asked SIDE: whether the kernel asks on each of HAProxy's sockets with this address.
asked() {
    (inside "$ns" ss -tnop state established) | grep haproxy | grep "$1" >sockets
    ! grep -qv 'timer:(keepalive' sockets
}
# A connection through the balancer is two of its sockets.
for side in 192.0.2.1:10809 '192.0.2.1[123]:10809'; do
    wait_for 10 asked "$side" || fail "the kernel does not ask: $(head -n 1 sockets)"
done
kill -STOP "${server_pids[1]}"
touch hangs
end_clients
is_state 1 DOWN || fail "server 1 is not down"
