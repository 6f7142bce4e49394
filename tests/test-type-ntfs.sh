#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=ntfs, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.ntfs ntfsfix
check_type ntfs 2M "" ntfs ntfsfix -n
check_type ntfs 100M "scratch disk" ntfs ntfsfix -n
check_type ntfs 3G "Größe" ntfs ntfsfix -n
