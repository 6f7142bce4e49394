#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel mounts two disks of one server at once. The client of one is killed
# in the middle of writing; then the kernel replays that disk's log, the other one
# still mounted, and all that was synced is there.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop fuse nbdfuse e2fsck dumpe2fs xfs_repair xfs_logprint btrfs

# attach NAME TYPE: mount a new disk on the directory NAME. Sets $client.
attach() {
    mkdir -p "$1.fuse" "$1"
    nbdfuse "$1.fuse/disk" "$uri" &
    client=$!
    at_exit "! mountpoint -q '$1.fuse' || umount '$1.fuse'; wait $client || :"
    wait_for 20 test -e "$1.fuse/disk"
    mount -t "$2" -o loop "$1.fuse/disk" "$1"
    at_exit "! mountpoint -q '$1' || umount '$1'"
}

# write_until_killed DIR: files, the sum of each in the list once it is synced.
write_until_killed() {
    local i
    for i in {1..10000}; do
        head -c 300000 /dev/urandom >"$1/$i" && sync "$1/$i" &&
            sha256sum "$1/$i" >>synced || return 0
    done 2>/dev/null
}
twenty() { [ "$(wc -l <synced)" -ge 20 ]; }

# log_to_replay TYPE IMAGE: it was not unmounted, and it has a log.
log_to_replay() {
    case $1 in
    ext4) dumpe2fs -h "$2" 2>/dev/null | grep needs_recovery ;;
    xfs) xfs_logprint -t "$2" 2>/dev/null | grep DIRTY ;;
    btrfs) btrfs inspect-internal dump-super "$2" | grep '^log_root[[:space:]]*[1-9]' ;;
    esac
}

# crash TYPE: lose the client of a disk that is being written to, beside another one.
# Its image is then as it was. Sets $replay, empty if there is no log to replay: whoever
# calls sync, anywhere on this machine, may have had btrfs put all in its place just then.
crash() {
    local type=$1 held victim writer
    serve "$plugin" size=400M type="$type"
    attach "$type.1" "$type"
    # The file has no name. This keeps it when the server has closed it.
    exec {held}<"$(find "/proc/$server/fd" -lname "$TMPDIR/*")"
    victim=$client
    attach "$type.2" "$type"
    echo "two" >"$type.2/file"

    : >synced
    write_until_killed "$type.1" &
    writer=$!
    wait_for 60 twenty || fail "$type: no twenty files were written"
    kill -KILL "$victim"
    wait "$writer"
    umount "$type.1"
    umount "$type.1.fuse"
    closed() { [ "$(find "/proc/$server/fd" -lname "$TMPDIR/*" | wc -l)" -eq 1 ]; }
    wait_for 20 closed || fail "the server did not notice"
    cp --sparse=always "/dev/fd/$held" image
    exec {held}<&-
    replay=$(log_to_replay "$type" image) || replay=
}

# check TYPE CHECKER...
check() {
    local type=$1 try
    shift
    requires "kernel:$type"
    for try in {1..20}; do
        crash "$type"
        [ -z "$replay" ] || break
        [ "$try" -lt 20 ] || fail "$type: there is no log to replay: the test tests nothing"
        umount "$type.2"
        umount "$type.2.fuse"
        stop_server "$server"
    done
    mount -t "$type" -o loop image "$type.1"
    sha256sum --quiet -c synced || fail "$type: a file that was synced is not there"
    echo "again" >"$type.1/file"
    umount "$type.1"
    "$@" image || fail "$type: $1 found faults"
    [ "$(cat "$type.2/file")" = two ] || fail "$type: the other disk has changed"
    umount "$type.2"
    "$@" "$type.2.fuse/disk" || fail "$type: $1 found faults on the other disk"
    umount "$type.2.fuse"
    stop_server "$server"
}
check ext4 e2fsck -fn
check xfs xfs_repair -n
check btrfs btrfs check --readonly
