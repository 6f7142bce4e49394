#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=btrfs, without and with a label.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.btrfs btrfs
check_type btrfs 16M "" btrfs btrfs check
check_type btrfs 200M "" btrfs btrfs check
check_type btrfs 1G "scratch disk" btrfs btrfs check
