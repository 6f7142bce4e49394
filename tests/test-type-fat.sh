#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=vfat, fat and msdos, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.vfat fsck.vfat
for type in vfat fat msdos; do
    check_type "$type" 1M "" vfat fsck.vfat -n
    check_type "$type" 100M "SCRATCH" vfat fsck.vfat -n
    check_type "$type" 3G "TWO WORDS" vfat fsck.vfat -n
done
