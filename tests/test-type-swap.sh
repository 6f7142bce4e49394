#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# type=swap, without and with a label. The signature must cover the whole
# disk.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkswap swaplabel
covers() {
    # The header's last_page, counted from 0, in pages of 4096 bytes.
    local pages
    pages=$(od -An -tu4 -j1028 -N4 "$1")
    [ $(((pages + 1) * 4096)) -eq "$(stat -c %s "$1")" ] && swaplabel "$1"
}
check_type swap 1M "" swap covers
check_type swap 100M "scratch" swap covers
check_type swap 2G "fifteen-chars-o" swap covers
