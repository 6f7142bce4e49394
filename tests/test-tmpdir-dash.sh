#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A relative TMPDIR with a leading dash is a directory like others, and no
# option to anybody.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -- "$TMPDISK_TEST_DIR/tmp.d/dash"
ln -s -- "$TMPDISK_TEST_DIR/tmp.d/dash" -n
TMPDIR=-n serve "$plugin" size=10M
exercise
