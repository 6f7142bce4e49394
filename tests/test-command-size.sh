#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The disk is as large as the command makes it: size=0 and a size of its own,
# smaller, larger, or another file in its place.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 10M base.img
mkfs.ext4 -q -F base.img
cp base.img before.img
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=0 image="$work/base.img" command='cp --sparse=always "$image" "$disk"'
exercise
for size in 1 511 3000001 20971520; do
    # shellcheck disable=SC2016 # for the command
    serve "$plugin" size=10M want="$size" command='truncate -s "$want" "$disk"'
    got=$(nbdinfo --size "$uri")
    [ "$got" = "$size" ] || fail "got size $got, want $size"
done
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M image="$work/base.img" \
    command='cp "$image" "$disk.tmp" && mv -f "$disk.tmp" "$disk"'
exercise
cmp base.img before.img || fail "a client changed the base image"
