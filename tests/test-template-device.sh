#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A block device makes no template: it is served as without, which is said once.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires loop
printf %s hello >base
truncate -s 1M base
loop=$(losetup -f --show base)
at_exit "losetup -d $loop"
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=0 template-dir="$templates" dev="$loop" command='ln -sf "$dev" "$disk"'
begins hello
begins spoilt
begins spoilt
[ "$(grep -c 'no template is kept: .* device' "$log")" -eq 1 ] || fail "not said once"
only_templates 0
