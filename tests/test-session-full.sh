#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# On a full filesystem every session comes back, with and without a restart of the
# server, and none is removed: to give back what is there takes no space. After its
# grace a disk goes, and leaves its note.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root loop mkfs.xfs mkfs.btrfs

# full FS: with a filesystem of that type.
full() {
    local options=()
    rm -rf "$sessions" && mkdir -m 700 "$sessions"
    if [ "$1" = tmpfs ]; then
        mount -t tmpfs -o size=16M,mode=700 tmpfs "$sessions"
    else
        truncate -s 400M "$1.img"
        [ "$1" != ext4 ] || options=(-F -m 0)
        "mkfs.$1" -q "${options[@]}" "$1.img"
        mount -o loop "$1.img" "$sessions"
        chmod 700 "$sessions"
    fi
    mkdir -m 700 "$sessions/tmp"
    TMPDIR=$sessions/tmp serve "${args[@]}"
    for i in 1 2 3; do
        writes "swap/$i" "mine$i"
    done
    # Until not even one byte more fits in, in a file that is there or a new one.
    for i in {1..20}; do
        dd if=/dev/urandom of="$sessions/filler$i" bs=64k 2>/dev/null || :
        sync -f "$sessions"
    done
    ! dd if=/dev/zero of="$sessions/more" bs=64k count=1 conv=fsync 2>/dev/null || fail "$1: not full"
    finds swap/1 mine1
    kill_server
    TMPDIR=$sessions/tmp again "${args[@]}"
    for i in 1 2 3 1; do
        finds "swap/$i" "mine$i"
    done
    kept_is '*.disk' 3 || fail "$1: $(ls -l "$private")"
    kill_server
    TMPDIR=$sessions/tmp again "$plugin" size=4M type=swap session-grace=1s session-dir="$sessions"
    wait_for 20 kept_is '*.disk' 0 || fail "$1: still there: $(ls "$private")"
    refuses swap/1
    stop_server "$server"
    kept_is '*' 3 || fail "$1: want three notes: $(ls -l "$private")"
    rm -f "$sessions"/filler* "$sessions/more"
    umount "$sessions"
}

args=("$plugin" size=4M type=swap session-grace=1h session-dir="$sessions")
at_exit "! mountpoint -q '$sessions' || umount '$sessions'"
for fs in tmpfs ext4 xfs btrfs; do
    full "$fs"
done
