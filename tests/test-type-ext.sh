#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=ext2, ext3 and ext4, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.ext4 e2fsck
for type in ext2 ext3 ext4; do
    check_type "$type" 1M "" "${type/ext3/ext2}" e2fsck -fn
    check_type "$type" 100M "" "$type" e2fsck -fn
    check_type "$type" 100M "sixteen-chars-ok" "$type" e2fsck -fn
    check_type "$type" 3G "a b'\"c" "$type" e2fsck -fn
done
