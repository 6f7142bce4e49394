# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of examples/haproxy.cfg: sourced in place of lib.sh. They have a
# network to themselves, with the balancer at 192.0.2.1, servers 1 to 3 at the
# addresses of the example, and a client at any address that begins with 10.7.

# shellcheck source=netns.sh
. "$(dirname "${BASH_SOURCE[0]}")/netns.sh"

requires root ip nsenter haproxy
ns=tmpdisk-h$$
ip netns add "$ns" 2>ip.log || skip "needs network namespaces: $(cat ip.log)"
at_exit "ip netns delete $ns"
ip -n "$ns" link set lo up
ip -n "$ns" address add 192.0.2.1/32 dev lo
for n in 1 2 3; do
    ip -n "$ns" address add "192.0.2.1$n/32" dev lo
    # As between machines: the balancer comes from its own address.
    ip -n "$ns" route replace local "192.0.2.1$n" dev lo table local src 192.0.2.1
done
ip -n "$ns" route add local 10.7.0.0/16 dev lo

# serve_at N ARGUMENTS...: start nbdkit as server N. Sets $log and $server, and
# ${server_pids[N]}.
server_pids=()
serve_at() {
    new_server
    inside "$ns" nbdkit -f -i "192.0.2.1$1" -p 10809 -P "$pidfile" "${@:2}" >"$log" 2>&1 &
    server=$!
    server_pids[$1]=$server
    at_exit "stop_server $server child"
    wait_for 30 server_decided "$server" "$pidfile" || fail "nbdkit did not start listening"
    alive "$server" || fail "nbdkit ended before it listened: nbdkit ${*:2}"
}

# serve_three: servers 1 to 3, with $parameters. The disks of server N have 10 + N MiB.
parameters=()
serve_three() {
    local n
    for n in 1 2 3; do
        serve_at "$n" "$plugin" "size=1${n}M" type=swap "${parameters[@]}"
    done
}

# kill_at N: as kill -9 does.
kill_at() {
    : >"stopped.${server_pids[$1]}"
    kill -KILL "${server_pids[$1]}"
    { wait "${server_pids[$1]}" || :; } 2>/dev/null
}

# balance: start HAProxy with the example, edited by the sed script $edit, and wait
# until it has seen that the servers that are there are in the state $up.
edit='' up=UP
export NBD_LISTEN=192.0.2.1:10809 HAPROXY_SOCKET=$work/admin
balance() {
    sed -e "$edit" "$top_srcdir/examples/haproxy.cfg" >haproxy.cfg
    inside "$ns" haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
    at_exit "kill $!; wait $! || :"
    wait_for 20 test -S admin || fail "HAProxy does not start"
    local n
    for n in "${!server_pids[@]}"; do
        wait_for 20 is_state "$n" "$up" || fail "server $n is not up: $(runtime 'show stat')"
    done
}

# runtime COMMAND: say it to HAProxy, as an administrator does with socat.
runtime() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("admin")
s.sendall(sys.argv[1].encode() + b"\n")
print(s.makefile().read().strip())
PYTHON
}

# is_state N STATE: whether HAProxy says so of server N, after it has checked it.
is_state() {
    [ "$(runtime 'show stat' | awk -F, -v s="disks$1" \
        '$2 == s && $37 != "INI" { print $18 }')" = "$2" ]
}

# clients: run the Python of standard input, with the functions below.
clients() {
    (become_clients)
}

# begin_clients: the same in the background, until the file "connected" is there. What
# they say is in client.log.
begin_clients() {
    become_clients >client.log 2>&1 <&0 &
    client=$!
    at_exit "kill $client 2>/dev/null || :"
    await connected
}

# await FILE: until the clients in the background have made it, or have ended.
await() {
    wait_for 60 progress "$1"
}

progress() {
    [ -e "$1" ] || gone "$client"
}

# end_clients: wait for them; they must have found all as it should be.
end_clients() {
    wait "$client" || fail "$(tail -n 3 client.log)"
}

# become_clients: the same in place of this shell; to be run with &.
become_clients() {
    inside "$ns" nbdsh -c 'import errno, os, socket, sys, threading, time
def connect(address, name=""):
    """A connection from this address through the balancer."""
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.bind((address, 0))
    s.connect(("192.0.2.1", 10809))
    c = nbd.NBD()
    c.set_export_name(name)
    c.connect_socket(s.detach())
    return c
def server(c):
    return (c.get_size() >> 20) - 10
def want(got, expected):
    if got != expected:
        die("got %.60r, want %.60r" % (got, expected))
def die(text):
    """End the process, from any thread."""
    print(text, file=sys.stderr, flush=True)
    os._exit(1)
def refused(address, name=""):
    try:
        connect(address, name)
    except nbd.Error:
        return
    sys.exit("%s was not refused" % address)
def wait_for(name):
    for i in range(3000):
        if os.path.exists(name):
            return
        time.sleep(0.05)
    sys.exit("%s does not come" % name)
def touch(name):
    open(name, "w").close()
' -c -
}
