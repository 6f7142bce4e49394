#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel mounts a client's ext4 disk: what is written is there after a
# remount, and the checker is content.

# shellcheck source=mount.sh
. "$(dirname "$0")/mount.sh"

requires e2fsck
mount_and_compare ext4 100M e2fsck -fn
