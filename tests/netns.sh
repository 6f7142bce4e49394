# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests whose client's network dies: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# two_machines: network namespaces $ns_server and $ns_client, joined by a
# cable. The server's end has the address 10.9.8.1, and link_down pulls it out.
two_machines() {
    requires root ip nsenter
    ns_server=tmpdisk-s$$ ns_client=tmpdisk-c$$
    ip netns add "$ns_server" 2>ip.log || skip "needs network namespaces: $(cat ip.log)"
    at_exit "ip netns delete $ns_server"
    ip netns add "$ns_client"
    at_exit "ip netns delete $ns_client"
    ip -n "$ns_server" link add cable type veth peer name cable netns "$ns_client"
    ip -n "$ns_server" address add 10.9.8.1/24 dev cable
    ip -n "$ns_client" address add 10.9.8.2/24 dev cable
    ip -n "$ns_server" link set cable up
    ip -n "$ns_client" link set cable up
}

# As when the client's machine loses power: the server's own end stays up.
link_down() {
    ip -n "$ns_client" link set cable down
}

# inside NAMESPACE COMMAND...: become COMMAND in NAMESPACE; to be run with &. Not
# `ip netns exec`, which copies all mounts as well: it would keep what other
# tests have mounted, and their loop devices, busy as long as COMMAND runs.
inside() {
    exec nsenter --net="/run/netns/$1" "${@:2}"
}

# serve_tcp ARGUMENTS...: serve on TCP in $ns_server, for $ns_client.
serve_tcp() {
    new_server
    inside "$ns_server" nbdkit -f -p 10809 -P "$pidfile" "$@" >"$log" 2>&1 &
    server=$!
    at_exit "stop_server $server child"
    wait_for 30 server_decided "$server" "$pidfile" || fail "nbdkit did not start listening"
    alive "$server" || fail "nbdkit ended before it listened: nbdkit $*"
}

# client CODE: run CODE in nbdsh, in the background, with a connection h whose
# disk has been written to. Returns when CODE has made the file "ready", and
# sets $client.
client() {
    rm -f ready
    inside "$ns_client" nbdsh -c - >>client.log 2>&1 <<PYTHON &
import time
h.connect_tcp("10.9.8.1", "10809")
h.pwrite(b"x" * 65536, 0)
def ready():
    open("ready", "w").close()
$1
PYTHON
    client=$!
    at_exit "kill $client 2>/dev/null || :; wait $client || :"
    wait_for 20 test -e ready || fail "the client did not connect: $(cat client.log)"
}

# disks: how many disks the server holds open.
disks() {
    find "/proc/$server/fd" -lname "$TMPDIR/* (deleted)" 2>/dev/null | wc -l
}

disks_are() {
    [ "$(disks)" -eq "$1" ]
}
