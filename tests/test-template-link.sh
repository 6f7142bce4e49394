#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command that links $disk to a file that stays: not even the first client of
# a template can change that file.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

printf %s hello >base
truncate -s 1M base
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=0 template-dir="$templates" image="$work/base" command='ln -sf "$image" "$disk"'
begins hello
begins hello
[ "$(head -c 5 base)" = hello ] || fail "a client has changed the file"
only_templates 1
