#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs-options for XFS: the disks of all these sets of features are made from one run of
# mkfs, and xfs_repair is content. With those that put most on the disk two of them are
# mounted at the same time.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.xfs xfs_repair xfs_db
# has_options TEXT PATTERN [SIZE]: PATTERN is of what xfs_db says of the first superblock.
has_options() {
    check_options xfs "${3:-320M}" "$1" "$2" xfs_db -r -c version -c 'sb 0' -c 'print'
}
# supports TEXT: this version of mkfs.xfs knows these options.
supports() {
    local ok=0
    truncate -s 320M try
    # shellcheck disable=SC2086 # several words
    mkfs.xfs -q -f $1 try >try.log 2>&1 || ok=$?
    rm try
    [ "$ok" -eq 0 ] || echo "not tried: $1: $(head -n 1 try.log)"
    return "$ok"
}
has_options "-m crc=0" '^versionnum = 0xb4.4'
has_options "-m crc=0 -n ftype=0 -i size=256" '^inodesize = 256'
has_options "-s size=4096" '^sectsize = 4096'
mounts xfs
has_options "-b size=1024 -n size=8192" '^blocksize = 1024'
has_options "-m rmapbt=1,reflink=0" 'RMAPBT'
has_options "-m bigtime=0,inobtcount=0,reflink=0,finobt=0,rmapbt=0 -i sparse=0" '^features_ro_compat = 0(x0)?$'
has_options "-i size=1024,maxpct=5" '^inodesize = 1024'
has_options "-d agcount=2" '^agcount = 2'
has_options "-d su=64k,sw=2 -l su=32k" '^unit = 16' 1G
has_options "-l size=80m,version=2" '^logblocks = 20480' 1G
has_options "-n version=ci" '^versionnum = .*'
has_options "-L 'a b'" '^fname = "a b'
conf=/usr/share/xfsprogs/mkfs/lts_5.15.conf
! supports "-c options=$conf" || has_options "-c options=$conf" '^features_ro_compat = 0xd$'
! supports "-m autofsck=0" || { has_options "-m autofsck=0" ',ATTR,' && mounts xfs; }
! supports "-i nrext64=1" || { has_options "-i nrext64=1" 'NREXT64' && mounts xfs; }
! supports "-i exchange=1 -n parent=1" || { has_options "-i exchange=1,nrext64=1 -n parent=1" 'NREXT64,EXCHANGE,PARENT' && mounts xfs; }
