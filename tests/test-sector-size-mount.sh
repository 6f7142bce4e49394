#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With sector-size=4096 a disk of each type can be used through a device with such
# sectors: the kernel mounts what it knows, and for the others the checker is content,
# and blkid knows them, on that device.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires loop fuse nbdfuse kernel:ext4 kernel:xfs kernel:btrfs mkfs.ext4 mkfs.xfs mkfs.btrfs \
    mkfs.fat mkfs.ntfs mkfs.f2fs mkswap

# attach SECTOR: let $loop be a new client's disk with such sectors. detach undoes it.
attach() {
    mkdir -p fuse mnt
    nbdfuse fuse/disk "$uri" &
    fuse=$!
    at_exit detach
    wait_for 20 test -e fuse/disk
    loop=$(losetup -f --show --sector-size "$1" fuse/disk)
    [ "$(blockdev --getss "$loop")" -eq "$1" ] || fail "$loop has sectors of $(blockdev --getss "$loop") bytes"
}
detach() {
    [ -n "$fuse" ] || return 0
    ! mountpoint -q mnt || umount mnt
    [ -z "$loop" ] || losetup -d "$loop"
    loop=
    ! mountpoint -q fuse || umount fuse
    wait "$fuse"
    fuse=
}
loop='' fuse=''

# use TYPE: files are there after a remount.
use() {
    mount -t "$1" "$loop" mnt
    head -c 3000001 /dev/urandom >mnt/random
    cp mnt/random .
    umount mnt
    mount -t "$1" "$loop" mnt
    cmp random mnt/random
    umount mnt
}

# check TYPE SIZE [PARAMETER...]
check() {
    local type=$1 size=$2 sector
    for sector in 512 1024 2048 4096; do
        echo "type=$type size=$size sector-size=$sector"
        serve "$plugin" type="$type" size="$size" sector-size="$sector" "${@:3}"
        attach "$sector"
        [ "$(blkid -p -o value -s TYPE "$loop")" = "$type" ] || fail "blkid: $(blkid -p "$loop")"
        clean "$type" "$loop"
        ! grep -qw "$type" /proc/filesystems || use "$type"
        clean "$type" "$loop"
        detach
        stop_server "$server"
        [ ! -s "$log" ] || { cat "$log"; fail "the log is not empty"; }
    done
}
check ext4 20M
check ext4 600M
check ext2 4M
check xfs 320M
check btrfs 120M
check vfat 40M
check vfat 600M
check ntfs 40M
check f2fs 100M
check swap 20M
mkfs.exfat --help >help.txt 2>&1 || :
if grep -q sector-size help.txt; then
    check exfat 40M
    check exfat 3M
else
    echo "not tried: exfat, which needs exfatprogs 1.2.3"
fi

echo "and without it not"
serve "$plugin" type=xfs size=320M
attach 4096
! mount -t xfs "$loop" mnt || fail "this test tests nothing"
detach
stop_server "$server"
