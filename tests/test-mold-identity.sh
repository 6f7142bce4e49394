#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients of every built-in type, at once and one after the other, have disks
# with the right type and label, with a UUID of their own, and without faults.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# check TYPE SIZE LABEL BLKID-TYPE CHECKER...
check() {
    local type=$1 size=$2 label=$3 want=$4 copies=() i
    shift 4
    echo "type=$type"
    requires "$1"
    serve "$plugin" type="$type" size="$size" ${label:+label="$label"}
    for i in 1 2 3; do
        nbdcopy "$uri" "disk$i" &
        copies+=($!)
    done
    for i in "${copies[@]}"; do wait "$i"; done
    nbdcopy "$uri" disk4
    nbdcopy "$uri" disk5
    stop_server "$server"
    : >uuids
    for i in 1 2 3 4 5; do
        [ "$(tag "disk$i" TYPE)" = "$want" ] || fail "blkid: type $(tag "disk$i" TYPE), want $want"
        [ "$(tag "disk$i" LABEL)" = "$label" ] || fail "blkid: label $(tag "disk$i" LABEL), want $label"
        "$@" "disk$i" >check.log 2>&1 || { cat check.log; fail "$1 found faults"; }
        tag "disk$i" UUID >>uuids
    done
    # minix has none.
    [ "$type" = minix ] || [ "$(sort -u uuids | wc -l)" -eq 5 ] || fail "5 disks with these UUIDs: $(cat uuids)"
    rm disk?
}

for type in ext2 ext3 ext4; do
    check "$type" 20M MOLD "$type" e2fsck -fn
done
for type in vfat fat msdos; do
    check "$type" 40M MOLD vfat fsck.fat -n
done
check exfat 20M MOLD exfat fsck.exfat -n
check xfs 300M MOLD xfs xfs_repair -n
check btrfs 128M MOLD btrfs btrfs check --readonly
check f2fs 60M MOLD f2fs fsck.f2fs
check ntfs 20M MOLD ntfs ntfsfix -n
check swap 20M MOLD swap blkid -p
check minix 20M "" minix fsck.minix -f
