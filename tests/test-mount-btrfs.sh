#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel mounts a client's btrfs disk: what is written is there after a
# remount, and the checker is content.

# shellcheck source=mount.sh
. "$(dirname "$0")/mount.sh"

requires btrfs
mount_and_compare btrfs 300M btrfs check
