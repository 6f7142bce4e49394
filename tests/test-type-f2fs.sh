#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=f2fs, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.f2fs fsck.f2fs
check_type f2fs 64M "" f2fs fsck.f2fs --dry-run
check_type f2fs 1G "scratch disk" f2fs fsck.f2fs --dry-run
