#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel mounts a client's xfs disk: what is written is there after a
# remount, and the checker is content.

# shellcheck source=mount.sh
. "$(dirname "$0")/mount.sh"

requires xfs_repair
mount_and_compare xfs 400M xfs_repair -n
