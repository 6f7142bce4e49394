# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests with two servers that share a GlusterFS volume: sourced in place of
# lib.sh. The volume, its daemons and its mounts are in namespaces of the test's own
# (mounts, processes, network) and end with them. Its three bricks are directories in
# memory. The mounts are $work/a and $work/b; each one's GlusterFS client is in a network
# namespace of that name, whose cable can be pulled while nbdkit goes on.

if [ -n "${TMPDISK_TEST_DIR-}" ] && [ -z "${TMPDISK_TEST_GLUSTER-}" ] &&
    [ "$(id -u)" -eq 0 ]; then
    export TMPDISK_TEST_GLUSTER=1
    exec unshare --mount --pid --fork --kill-child --mount-proc --net bash "$0" "$@"
fi

# shellcheck source=sessions.sh
. "$(dirname "${BASH_SOURCE[0]}")/sessions.sh"

requires root fuse ip nsenter glusterd glusterfs gluster haproxy
bricks=$work/bricks

# gluster_cli COMMAND...
gluster_cli() {
    gluster --mode=script "$@" >gluster.out 2>&1 || {
        cat gluster.out
        return 1
    }
}

# The bricks let go of the locks of a client that is cut off as soon as they notice,
# and the client fails what is in progress as soon as it does: 10 s instead of 42 s.
options=(
    network.ping-timeout 10
    server.tcp-user-timeout 5
    server.keepalive-time 2
    server.keepalive-interval 1
    server.keepalive-count 3
    cluster.heal-timeout 5
    # As the manual says. With it on, a server that is cut off is told that it has
    # written, and what failed comes once more when it closes the file.
    performance.write-behind "${TMPDISK_WRITE_BEHIND:-off}"
)

# volume: start it and mount it.
volume() {
    local brick=10.9.7.1:$bricks n
    ip link set lo up
    ip address add 10.9.7.1/32 dev lo
    mkdir -p "$bricks" /var/lib/glusterd /var/log/glusterfs
    for n in /run /var/lib/glusterd /var/log/glusterfs "$bricks"; do
        mount -t tmpfs tmpfs "$n"
    done
    mkdir /run/gluster "$bricks"/{1,2,3}
    getent hosts localhost >/dev/null || add_localhost
    glusterd --log-level WARNING || fail "glusterd"
    wait_for 30 gluster_cli volume list >/dev/null || fail "glusterd does not answer"
    gluster_cli volume create vol replica 3 "$brick"/{1,2,3} force
    gluster_cli volume set vol "${options[@]}"
    gluster_cli volume start vol
    machine a 8
    machine b 9
    mkdir -m 700 a/sessions
    sessions=$work/a/sessions
    private=$sessions/nbdkit-tmpdisk-sessions-0
    wait_for 10 test -d b/sessions
}

# add_localhost: a new system's /etc/hosts may be missing, and what heals asks for it.
add_localhost() {
    mkdir /run/etc /run/etc.work
    echo 127.0.0.1 localhost >/run/etc/hosts
    mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work overlay /etc
}

# machine NAME N: a network namespace of that name, and the volume mounted from it.
machine() {
    ip netns add "$1"
    ip link add "cable-$1" type veth peer name cable netns "$1"
    ip address add "10.9.$2.1/24" dev "cable-$1"
    ip -n "$1" address add "10.9.$2.2/24" dev cable
    ip -n "$1" link set cable up
    ip link set "cable-$1" up
    ip -n "$1" route add default via "10.9.$2.1"
    mkdir "$1"
    nsenter --net="/run/netns/$1" \
        glusterfs --volfile-server=10.9.7.1 --volfile-id=/vol "$work/$1"
    wait_for 20 mountpoint -q "$1" || fail "mount: $(tail -n 5 /var/log/glusterfs/*"$1".log)"
}

# cut_off NAME: between that machine and the bricks nothing passes any more.
cut_off() {
    ip link set "cable-$1" down
}

# connected_again NAME: until its mount answers.
connected_again() {
    ip link set "cable-$1" up
    wait_for 60 stat "$1/sessions" >/dev/null 2>&1 || fail "$1 does not come back"
}

brick_pid() {
    cat "/run/gluster/vols/vol/"*"-bricks-$1.pid"
}

kill_brick() {
    kill -KILL "$(brick_pid "$1")"
}

# start_bricks: those that were killed.
start_bricks() {
    gluster_cli volume start vol force
}

# healed: every brick has all there is.
healed() {
    local info
    info=$(gluster --mode=script volume heal vol info 2>&1) || return 1
    [ "$(grep -c '^Number of entries: 0$' <<<"$info")" -eq 3 ] &&
        [ "$(grep -c '^Status: Connected$' <<<"$info")" -eq 3 ]
}

heal() {
    gluster_cli volume heal vol >/dev/null || : # it goes on by itself as well
    wait_for 60 healed || fail "not healed: $(gluster volume heal vol info)"
}

# serve_at NAME OPTIONS...: serve on $NAME.sock, with the sessions on the volume.
# Sets $server and $log.
serve_at() {
    local where=$1
    shift
    serve "$@" "$plugin" size=1M type=swap session-sync=yes session-grace=1h \
        session-dir="$work/$where/sessions"
    ln -sf "$sock" "$where.sock"
    ln -sf "$pidfile" "$where.pid"
}

# balance: HAProxy on balancer.sock, in front of the servers: a, and if it is not there
# b. Its own socket is haproxy.sock.
balance() {
    local sock_a sock_b
    sock_a=$(readlink a.sock) sock_b=$(readlink b.sock)
    cat >haproxy.cfg <<CFG
global
    stats socket $work/haproxy.sock level admin
defaults
    mode tcp
    timeout connect 5s
    timeout check 5s
    timeout client 1d
    timeout server 1d
    option redispatch
listen nbd
    bind unix@$work/balancer.sock
    option tcp-check
    tcp-check expect binary 4e42444d41474943
    default-server check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions
    server a unix@$sock_a
    server b unix@$sock_b backup
CFG
    haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
    # shellcheck disable=SC2064 # now
    at_exit "kill $! && { wait $! || :; }"
    wait_for 10 test -S balancer.sock || fail "haproxy: $(cat haproxy.log)"
}

# kill_at NAME: its server, as kill -9 does.
kill_at() {
    local pid
    pid=$(cat "$1.pid")
    : >"$work/stopped.$pid"
    kill -KILL "$pid"
}

# clients: run the Python of standard input, with the functions of gluster.py, which
# can call the functions above.
clients() {
    local plain
    export work bricks top_srcdir
    for plain in fail wait_for within gluster_cli cut_off connected_again brick_pid kill_brick \
        start_bricks healed heal kill_at; do
        # shellcheck disable=SC2163 # the function of that name
        export -f "$plain"
    done
    cat "$top_srcdir/tests/gluster.py" - >clients.py
    nbdsh -c - <clients.py
}
