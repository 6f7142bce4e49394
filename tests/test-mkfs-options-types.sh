#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs-options for the other types: each disk has an identity of its own, its checker is
# content, and the options have their effect.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.btrfs mkfs.fat mkfs.exfat mkfs.ntfs mkfs.f2fs mkswap mkfs.minix
super() { btrfs inspect-internal dump-super "$1"; }
has_options() { check_options btrfs 300M "$1" "$2" super; }
has_options "-n 4096" '^nodesize\s+4096'
has_options "-d dup -m dup" '^bytes_used'
has_options "-d single -m single" '^bytes_used'
has_options "--mixed" 'MIXED_GROUPS'
has_options "-O ^no-holes -R ^free-space-tree" '^compat_ro_flags\s+0x0'
has_options "-R quota" 'compat_ro_flags'
has_options "-L 'a b'" '^label\s+a b'
each=1
has_options "--csum xxhash" '^csum_type\s+1'
has_options "--csum sha256" '^csum_type\s+2'
each=0

boot() { od -An -tu2 -j11 -N2 "$1" && od -An -tu1 -j13 -N1 "$1" && od -An -c -j82 -N5 "$1"; }
check_options vfat 300M "-F 32 -S 4096" ' 4096' boot
check_options vfat 60M "-F 32 -s 1" 'F +A +T +3 +2' boot
check_options vfat 60M "-F 16 -S 2048 -r 1024 -R 4 -f 1" ' 2048' boot
check_options vfat 60M "-n NAME" 'NAME' blkid -p

cluster() { od -An -tu1 -j108 -N2 "$1"; }
check_options exfat 60M "-c 64K" ' 9 +7' cluster
check_options exfat 60M "-b 4M -L 'a b'" 'a b' blkid -p

check_options ntfs 60M "-c 65536" 'Cluster Size: 65536' ntfsinfo -fm
check_options ntfs 60M "-s 4096 -c 4096" 'Sector Size: 4096' ntfsinfo -fm
check_options ntfs 60M "-C -I" 'Cluster Size: 4096' ntfsinfo -fm

features() { od -An -tx4 -j3204 -N4 "$1"; }
check_options f2fs 200M "-O extra_attr,project_quota,quota,compression" ' 00002098' features
check_options f2fs 200M "-O encrypt,verity -l 'a b'" ' 00000401' features
check_options f2fs 200M "-C utf8:strict -O casefold" ' 00001000' features
each=1
check_options f2fs 200M "-O extra_attr,inode_checksum" ' 00000028' features
each=0

version() { blkid -p -o value -s VERSION "$1"; }
check_options minix 2M "-2 -n 14" '^2$' version

# The signature ends the first page, and the last page is counted in pages.
header() {
    local page
    for page in 4096 16384 65536; do
        [ "$(dd if="$1" bs=1 skip=$((page - 10)) count=10 status=none | tr -d '\0')" != SWAPSPACE2 ] ||
            echo "$page $(od -An -tu4 -j1028 -N4 "$1")"
    done
    od -An -tx1 -j1036 -N16 "$1" | tr -d ' ' >>uuids
}
for page in 4096 16384 65536; do
    : >uuids
    check_options swap 64M "-p $page -L swap" "^$page +$((67108864 / page - 1))\$" header
    [ "$(sort -u uuids | wc -l)" -eq 2 ] || fail "UUIDs of two disks: $(cat uuids)"
done
