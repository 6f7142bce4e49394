#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What the filesystems of TMPDIR and session-dir can do is tried when the server
# starts: nbdkit -v and the status file say it, and nothing of the trial stays.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

requires loop fuse bindfs mkfs.ext4 mkfs.xfs mkfs.btrfs kernel:xfs kernel:btrfs kernel:overlay

# image NAME COMMAND...: mount a filesystem that COMMAND has made.
image() {
    truncate -s 400M "$1.img"
    "${@:2}" "$1.img" >/dev/null
    mount -o loop "$1.img" "$1"
    at_exit "umount '$work/$1'"
}

# tried NAME TYPE YES NO: a server is there, and of the six abilities it says that
# those of YES are there, and those of NO are not, with these reasons.
tried() {
    local ability line
    echo "$1"
    mkdir -m 700 "$1/tmp" "$1/sessions"
    TMPDIR=$work/$1/tmp serve -v "$plugin" size=4M type=swap status-file=run/lab.json \
        session-grace=1h session-dir="$1/sessions"
    must_be "[f['path'] for f in d['server']['filesystems']] == ['$work/$1/tmp', '$work/$1/sessions']"
    for what in "TMPDIR: $work/$1/tmp" "session-dir: $work/$1/sessions"; do
        [ "$(grep -cF -e "$what ($2): " "$log")" -eq 6 ] || fail "not six lines of $what ($2)"
        while read -r ability; do
            has "$log" "$what ($2): $ability: yes"
        done <<<"$3"
        while IFS='=' read -r ability line; do
            [ -z "$ability" ] || has "$log" "$what ($2): $ability: no: $line"
        done <<<"$4"
    done
    must_be "all(f['type'] == '$2' and
        sorted(a['name'] for a in f['abilities'] if a['can']) == sorted('''$3'''.split('\n')) and
        {a['name']: a['why'] for a in f['abilities'] if not a['can']} ==
            dict(line.split('=') for line in '''$4'''.split('\n') if line) for f in d['server']['filesystems'])"
    # Whoever is served is served, whatever was found out.
    writes swap/one hello
    finds swap/one hello
    stop_server "$server"
    [ -z "$(ls -A "$1/tmp")" ] || fail "left in TMPDIR: $(ls -A "$1/tmp")"
    [ "$(find "$1/sessions" -type f ! -name lock | wc -l)" -eq 2 ] || fail "not two files: $(ls -A "$1"/sessions/*)"
}

mkdir ext4 xfs btrfs tmpfs overlay below fuse
image ext4 mkfs.ext4 -q -F
image xfs mkfs.xfs -q -m reflink=1
image btrfs mkfs.btrfs -q
mount -t tmpfs -o size=64M tmpdisk-test tmpfs
at_exit "umount '$work/tmpfs'"
mkdir ext4/lower ext4/upper ext4/work
mount -t overlay -o lowerdir=ext4/lower,upperdir=ext4/upper,workdir=ext4/work tmpdisk-test overlay
at_exit "umount '$work/overlay'"
bindfs -o fsname=tmpdisk-test below fuse
at_exit "fusermount3 -u '$work/fuse'"

most=$'unnamed files\npunching holes\nlocks'
unable='operation not supported'
tried ext4 ext2/ext3/ext4 "$most"$'\nzeroing without writing\nfinding holes' "cloning=$unable"
tried xfs xfs "$most"$'\nzeroing without writing\nfinding holes\ncloning' ''
tried btrfs btrfs "$most"$'\nzeroing without writing\nfinding holes\ncloning' ''
tried tmpfs tmpfs "$most"$'\nfinding holes' "cloning=$unable"$'\n'"zeroing without writing=$unable"
tried overlay overlay "$most"$'\nzeroing without writing' "cloning=$unable"$'\nfinding holes=not known to tell the truth'
tried fuse FUSE locks "unnamed files=$unable
punching holes=$unable
zeroing without writing=$unable
finding holes=all is data
cloning=$unable"
