#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients that come together with a little less than min-free left have one session
# removed, not one each. Where the blocks of sessions are shared, so that to remove one
# frees nothing, no more than that one goes.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop mkfs.xfs
at() {
    echo "nbd+unix:///x/$1?socket=${uri#*socket=}"
}

# on_xfs NAME: TMPDIR is on a new filesystem.
on_xfs() {
    use_tmpdir "$1"
    truncate -s 512M "$1.img"
    mkfs.xfs -q -m reflink=1 "$1.img"
    mount -o loop "$1.img" "$TMPDIR"
    at_exit "wait_for 10 umount '$TMPDIR' 2>/dev/null"
    mkdir -m 700 "$TMPDIR/sessions" "$TMPDIR/templates"
}

free() {
    echo $(($(stat -f -c '%a * %S' "$TMPDIR")))
}

# lost: how many of the sessions 1 to 6 are gone.
lost() {
    local i n=0
    for i in {1..6}; do
        nbdsh -u "$(at "$i")" -c pass 2>/dev/null || n=$((n + 1))
    done
    echo "$n"
}

on_xfs together
serve "$plugin" size=16M command=: session-grace=1h session-dir="$TMPDIR/sessions" \
    min-free="$(($(free) - 6 * 16 * 1048576 - 10 * 1048576))"
for i in {1..6}; do
    nbdsh -u "$(at "$i")" -c 'h.pwrite(b"x" * (16 << 20), 0)'
done
fallocate -l 13M "$TMPDIR/others"
pids=()
for i in {1..16}; do
    nbdsh -u "${uri/\/\/\//\/\/\/y}" -c 'h.pread(512, 0); import time; time.sleep(2)' 2>>clients.err &
    pids+=($!)
done
wait "${pids[@]}" || :
n=$(lost)
if [ "$n" -lt 1 ] || [ "$n" -gt 2 ]; then
    fail "$n sessions went, one would do"
fi
stop_server "$server"
rm -rf "${TMPDIR:?}"/*

on_xfs shared
# shellcheck disable=SC2016 # the command's own variable
command='dd if=/dev/urandom of="$disk" bs=1M count=16 2>/dev/null'
serve "$plugin" size=16M command="$command" session-grace=1h session-dir="$TMPDIR/sessions" \
    template-dir="$TMPDIR/templates" min-free="$(($(free) - 20 * 1048576))"
for i in {1..6}; do
    nbdsh -u "$(at "$i")" -c 'h.pwrite(b"x" * 512, 0)'
done
fallocate -l 23M "$TMPDIR/others"
for i in 1 2 3; do
    ! nbdsh -u "$(at "new$i")" -c pass 2>/dev/null || fail "there was space"
done
n=$(lost)
[ "$n" -eq 1 ] || fail "$n sessions went, of which the first freed nothing"
grep -q 'freed next to nothing' "$log" || fail "the log does not say why"
stop_server "$server"
rm -rf "${TMPDIR:?}"/*
