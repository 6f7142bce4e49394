#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# --filter=readahead, and a stack of filters that change every request, see
# right data.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires filter:readahead filter:blocksize filter:fua
serve --filter=readahead "$plugin" size=10M
exercise
nbdcopy "$uri" disk.img
e2fsck -fn disk.img
serve --filter=blocksize --filter=fua --filter=readahead "$plugin" size=10M \
    minblock=4k maxdata=64k fuamode=force
exercise
