#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# systemd finds no fault in the units, and they stay as closed as they are. Started
# through a socket as systemd does it, with the parameters that are in the
# configuration, the server serves a disk, and a session outlives its kill.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires systemd-analyze systemd-socket-activate filter:limit
cp "$top_srcdir"/packaging/systemd/nbdkit-tmpdisk.* .
systemd-analyze verify --man=no ./nbdkit-tmpdisk.s* >verify.log 2>&1 ||
    fail "verify: $(cat verify.log)"
# It only warns of what it does not know.
if grep nbdkit-tmpdisk verify.log; then
    fail "warnings"
fi
# The exposure is 1.1 with systemd 252; newer ones know more to look at.
systemd-analyze security --offline=true --threshold=15 ./nbdkit-tmpdisk.service \
    >security.log 2>&1 || fail "security: $(tail -n 1 security.log)"
# Whatever the socket listens on, it must not be a network.
[ "$(grep ^Listen nbdkit-tmpdisk.socket)" = "ListenStream=/run/nbdkit-tmpdisk/socket" ] ||
    fail "the socket listens elsewhere: $(grep ^Listen nbdkit-tmpdisk.socket)"
# What ends the server is the same there and in the manual.
for line in KillSignal=SIGKILL SuccessExitStatus=SIGKILL; do
    has nbdkit-tmpdisk.service "$line"
    has "$top_srcdir/nbdkit-tmpdisk-plugin.pod" "C<$line>"
done
# Clients with 4 descriptors and 17 threads each, and 300 tasks for commands and Go,
# run out of descriptors first, and stay below the usual vm.max_map_count.
setting() { sed -n "s/^$1=//p" nbdkit-tmpdisk.service; }
# What the manual says of the limits.
for limit in LogRateLimitIntervalSec LogRateLimitBurst MemoryMax; do
    grep -qF "C<$limit=$(setting "$limit")>" "$top_srcdir/nbdkit-tmpdisk-plugin.pod" ||
        fail "the manual says another $limit than $(setting "$limit")"
done
descriptors=$(setting LimitNOFILE) tasks=$(setting TasksMax)
[ "$tasks" -ge $((descriptors * 17 / 4 + 300)) ] ||
    fail "TasksMax=$tasks can be reached with LimitNOFILE=$descriptors"
[ $((descriptors * 34 / 4 + 1000)) -lt 65530 ] ||
    fail "vm.max_map_count can be reached with LimitNOFILE=$descriptors"

# A directory that is missing where the filesystem is not mounted.
has nbdkit-tmpdisk.conf "session-dir=/var/lib/$(setting StateDirectory | cut -d ' ' -f 2) "
[[ $(setting StateDirectory) == nbdkit-tmpdisk\ nbdkit-tmpdisk/* ]] || fail "session-dir is where a filesystem is mounted"

# What is in the configuration means the same to systemd and to a shell.
mkdir -m 755 state state/sessions exports.d run
sed -i "s|/var/lib/nbdkit-tmpdisk|$work/state|; s|/etc/nbdkit-tmpdisk|$work|
    s|/run/nbdkit-tmpdisk|$work/run|" nbdkit-tmpdisk.conf
install -m 644 "$top_srcdir/packaging/systemd/exports.d/swap.conf.example" exports.d/swap.conf
# shellcheck source=../packaging/systemd/nbdkit-tmpdisk.conf
. ./nbdkit-tmpdisk.conf
# shellcheck disable=SC2016 # as it stands there
has nbdkit-tmpdisk.service 'ExecStart=nbdkit $OPTIONS tmpdisk-go $PARAMETERS'
start() {
    rm -f sock
    # shellcheck disable=SC2086 # as systemd splits them
    systemd-socket-activate -l "$work/sock" -E TMPDIR="$TMPDIR" -E LC_ALL=C.UTF-8 \
        nbdkit $OPTIONS "$plugin" $PARAMETERS >>nbdkit.log 2>&1 &
    server=$!
    wait_for 10 test -S sock || fail "nothing listens"
}
uri="nbd+unix:///?socket=$work/sock"
session="nbd+unix:///swap/token?socket=$work/sock"
start
nbdsh -u "$uri" -c 'assert h.get_size() == 1 << 30'
nbdsh -u "$session" -c 'h.pwrite(b"kept", 9 * 512)'
kill -KILL "$server"
{ wait "$server" || :; } 2>/dev/null
start
at_exit "kill -KILL $server; wait $server 2>/dev/null || :"
nbdsh -u "$session" -c 'assert h.pread(4, 9 * 512) == b"kept"'
nbdsh -u "$session" -c 'assert h.get_size() == 4 << 30'
# What a killed server leaves there, the unit removes.
# shellcheck disable=SC2046 # as systemd splits them
rm $(sed -n "s|%t/nbdkit-tmpdisk|$work/run|g; s/^ExecStopPost=rm -f //p" nbdkit-tmpdisk.service |
    tr ' ' '\n' | grep json)
[ -z "$(ls -A run)" ] || fail "left behind: $(ls -A run)"
