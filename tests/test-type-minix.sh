#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=minix, which has no labels: label= is refused and says so.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.minix fsck.minix
check_type minix 1M "" minix fsck.minix -f
check_type minix 100M "" minix fsck.minix -f
if nbdkit -U minix.sock "$plugin" size=1M type=minix label=x --run true 2>err.log; then
    fail "label=x was accepted"
fi
has err.log label
has err.log minix
