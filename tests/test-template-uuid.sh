#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients of a built-in type have filesystems with other UUIDs, all clean, even
# with template-dir; those of a command with template-dir have the same.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

# uuids TYPE SIZE: three clients at once; prints the UUIDs without repetitions.
uuids() {
    local type=$1 size=$2 i
    shift 2
    serve "$plugin" type="$type" size="$size" template-dir="$templates" "$@"
    nbdsh -c - <<PYTHON
clients = [nbd.NBD() for _ in range(3)]
for n, h in enumerate(clients):
    h.connect_uri("$uri")
for n, h in enumerate(clients):
    with open("disk%d" % n, "wb") as f:
        f.truncate(h.get_size())
        for offset in range(0, h.get_size(), 1 << 20):
            count = min(1 << 20, h.get_size() - offset)
            data = h.pread(count, offset)
            if data != bytes(count):
                f.seek(offset)
                f.write(data)
PYTHON
    stop_server "$server"
    for i in 0 1 2; do tag "disk$i" UUID; done | sort -u >uuids
}

# check TYPE SIZE CHECKER...
check() {
    local type=$1 size=$2 i
    shift 2
    requires "$1"
    uuids "$type" "$size"
    [ "$(wc -l <uuids)" -eq 3 ] || fail "$type: UUIDs $(cat uuids)"
    for i in 0 1 2; do
        "$@" "disk$i" >check.log 2>&1 || { cat check.log; fail "$type: $1 found faults"; }
    done
}
check ext2 20M e2fsck -fn
check ext3 20M e2fsck -fn
check ext4 20M e2fsck -fn
check btrfs 128M btrfs check --readonly
check vfat 40M fsck.fat -n
check exfat 20M fsck.exfat -n
check xfs 300M xfs_repair -n
check f2fs 60M fsck.f2fs
check swap 20M blkid -p

# shellcheck disable=SC2016 # for the command
uuids ext4 20M command='mke2fs -q -F -t "$type" "$disk"'
[ "$(wc -l <uuids)" -eq 1 ] || fail "command: UUIDs $(cat uuids)"
