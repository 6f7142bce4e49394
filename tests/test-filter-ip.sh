#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# --filter=ip: a client that is not allowed costs no disk.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires filter:ip
serve --filter=ip "$plugin" size=10M allow="uid:$(id -u)" deny=all
exercise
# shellcheck disable=SC2016 # for the command
serve --filter=ip "$plugin" size=10M deny=all witness="$work/witness" \
    command='touch "$witness"'
refused
[ ! -e witness ] || fail "the command was run"
