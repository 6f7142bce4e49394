#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=exfat, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.exfat fsck.exfat
check_type exfat 1M "" exfat fsck.exfat -n
check_type exfat 100M "scratch" exfat fsck.exfat -n
check_type exfat 3G "Größe" exfat fsck.exfat -n
