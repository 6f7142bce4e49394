#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A relative plugin path and TMPDIR still mean the same after the server has
# gone into the background, where it works in /.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -- "$TMPDISK_TEST_DIR/tmp.d/relative"
ln -s "$plugin" tmpdisk.so
ln -s "$TMPDISK_TEST_DIR/tmp.d/relative" disks
TMPDIR=disks serve_daemon ./tmpdisk.so size=10M
exercise
# Nowhere but there: the default directory is not even needed.
rm disks
refused
