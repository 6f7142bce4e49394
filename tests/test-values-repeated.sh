#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When a parameter is repeated the last one wins.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1G type=nosuchfs color=red size=10M type=ext4 color=blue \
    command='exit 1' color=green out="$work/got" \
    command='mkfs.ext4 -q -F "$disk"; echo "$size $type $color" >"$out"'
exercise
[ "$(cat got)" = "10485760 ext4 green" ] || fail "got $(cat got)"
