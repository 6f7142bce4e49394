#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With less than min-free left, the disk that has waited longest makes room for a
# new client, and no other one; where disks are made and in a session-dir, on a
# filesystem that frees space later. A client that comes back needs no room.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop mkfs.xfs
at() {
    echo "nbd+unix:///x/$1?socket=${uri#*socket=}"
}

# fill TOKEN: writes 60 MiB to the disk of a session.
fill() {
    nbdsh -u "$(at "$1")" -c 'for i in range(60): h.pwrite(bytes([i + 1]) * 1048576, i << 20)'
}

room() {
    fill one
    fill two
    fill three
    # 220 MiB and more are free now, 280 are to be.
    fill four
    nbdsh -u "$(at two)" -c 'assert h.pread(512, 0) == b"\1" * 512' || fail "more went than needed"
    nbdsh -u "$(at three)" -c 'assert h.pread(512, 0) == b"\1" * 512' || fail "more went than needed"
    ! nbdsh -u "$(at one)" -c pass 2>refused || fail "the oldest is still there"
    grep -q 'had to make room' "$log" || fail "the log does not say why"
    stop_server "$server"
}

for where in here dir; do
    use_tmpdir "$where"
    truncate -s 512M "$where.img"
    mkfs.xfs -q "$where.img"
    mount -o loop "$where.img" "$TMPDIR"
    at_exit "wait_for 10 umount '$TMPDIR' 2>/dev/null"
    free=$(($(stat -f -c '%a * %S' "$TMPDIR")))
    sessions=()
    if [ "$where" = dir ]; then
        mkdir -m 700 "$TMPDIR/sessions"
        sessions=(session-dir="$TMPDIR/sessions")
    fi
    serve "$plugin" size=64M command=: session-grace=1h min-free="$((free - 140 * 1048576))" "${sessions[@]}"
    room
    rm -rf "$TMPDIR"/*sessions*
done
