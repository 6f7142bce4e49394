#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Once the first client has been served, 1,000 more of a built-in type cost no
# process: the server starts only threads.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root strace

# traced: strace has all of the server's threads.
traced() { ! grep -q '^TracerPid:[[:space:]]*0$' "/proc/$server/task"/*/status; }

# clients TYPE N
clients() {
    nbdsh -c - <<PYTHON
for _ in range($2):
    h = nbd.NBD()
    h.connect_uri("$uri")
    h.pread(4096, 0)
    h.shutdown()
PYTHON
}

for type in ext4 xfs swap; do
    serve "$plugin" type="$type" size=1G
    clients "$type" 1
    strace -f -qq -o "$type.trace" -e trace=clone,clone3,fork,vfork,execve,execveat \
        -p "$server" 2>"$type.log" &
    tracer=$!
    at_exit "gone $tracer || kill $tracer"
    wait_for 20 traced || fail "strace cannot trace the server"
    clients "$type" 1000
    kill "$tracer"
    wait "$tracer" || :
    stop_server "$server"

    calls=$(grep -E '^[0-9]+ +(clone3?|v?fork|execve(at)?)\(' "$type.trace" || :)
    threads=$(grep -c CLONE_THREAD <<<"$calls" || :)
    [ "$threads" -ge 1000 ] || fail "$type: $threads threads, one for each client is nbdkit's way"
    ! grep -v CLONE_THREAD <<<"$calls" || fail "$type: these are no threads"
done
