#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client can see which parts of its disk are holes, so that copying a fresh
# disk copies next to nothing.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=8G
nbdinfo --map "$uri" >map
cat map
data=$(awk '$3 == 0 { n += $2 } END { printf "%.0f", n }' map)
total=$(awk '{ n += $2 } END { printf "%.0f", n }' map)
[ "$total" -eq $((8 << 30)) ] || fail "the map covers $total bytes"
[ "$data" -lt $((300 << 20)) ] || fail "$data bytes of a fresh disk are data"
nbdcopy "$uri" disk.img
used=$(($(stat -c %b disk.img) * 512))
[ "$used" -lt $((300 << 20)) ] || fail "the copy takes $used bytes"
e2fsck -fn disk.img
