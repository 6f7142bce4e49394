#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs-options for ext2, ext3 and ext4: the disks of all these sets of features are made from
# one run of mkfs, and e2fsck -f is content. Some cannot be, and the log says so, once. With
# features that the kernel has to keep, two disks are mounted at the same time.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.ext4 e2fsck dumpe2fs
# has_options TYPE TEXT PATTERN [SIZE]
has_options() {
    check_options "$1" "${4:-600M}" "$2" "$3" dumpe2fs -h
}
has_options ext4 "-O quota,project" ' quota .*project'
has_options ext4 "-O project" ' project'
has_options ext4 "-O bigalloc" 'Cluster size: +65536'
mounts ext4
has_options ext4 "-O bigalloc -b 1024 -C 16384" 'Cluster size: +16384'
has_options ext4 "-O casefold -E encoding_flags=strict" 'encoding: +utf8'
has_options ext4 "-O encrypt,verity,stable_inodes" 'stable_inodes .* encrypt .* verity'
has_options ext4 "-O inline_data,ea_inode,large_dir -I 512" 'large_dir inline_data '
mounts ext4
has_options ext4 "-O fast_commit" 'Fast commit length: +[1-9]'
mounts ext4
has_options ext4 "-O mmp" 'MMP block number: +[1-9]'
mounts ext4
has_options ext4 "-O sparse_super2" 'Backup block groups: +1 4'
mounts ext4
has_options ext4 "-O ^metadata_csum" '^Filesystem features: .*extra_isize *$'
mounts ext4
has_options ext4 "-O ^metadata_csum,^64bit,^extent,^flex_bg -I 128" 'filetype sparse_super'
has_options ext4 "-O ^resize_inode" 'has_journal ext_attr dir_index'
has_options ext4 "-O ^resize_inode,meta_bg" 'meta_bg'
has_options ext4 "-O ^has_journal" 'features: +ext_attr'
has_options ext4 "-O orphan_file" 'orphan_file'
has_options ext4 "-b 1024 -m 0" 'Reserved block count: +0'
has_options ext4 "-b 1024" 'Block size: +1024' 5M
has_options ext4 "-E stride=4,stripe_width=16" 'RAID stripe width: +16'
has_options ext4 "-E 'lazy_itable_init=1' -i 65536 -J size=4" 'Total journal size: +4096k'
has_options ext4 "-L 'a b' -M /mnt" "volume name: +a b"
has_options ext3 "-O ^dir_index -I 512" 'ext_attr resize_inode filetype'
has_options ext2 "-O ^dir_index -r 1" 'features: +ext_attr resize_inode filetype'

echo "the inode tables are as good as written, whatever -E says"
more=()
check_options ext4 600M "-E root_owner=7:8" 'ITABLE_ZEROED' dumpe2fs

echo "what cannot be"
each=1
has_options ext4 "-O ^metadata_csum_seed" 'extra_isize metadata_csum'
has_options ext4 "-O ^metadata_csum,uninit_bg" 'uninit_bg'
