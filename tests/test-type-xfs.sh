#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=xfs, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.xfs xfs_repair
check_type xfs 300M "" xfs xfs_repair -n -f
check_type xfs 1G "twelve-chars" xfs xfs_repair -n -f
