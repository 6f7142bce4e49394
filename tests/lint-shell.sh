#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# No shell script gives shellcheck anything to say.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
requires shellcheck
cd "$top_srcdir"
mapfile -t scripts < <(grep -lrE '^#!.*[/ ](ba)?sh$|^# shellcheck shell=' \
    check quickstart .ci build-aux/setup.sh bench packaging tests tmpdisk 2>/dev/null)
[ "${#scripts[@]}" -gt 5 ] || fail "found only ${#scripts[@]} scripts"
shellcheck "${scripts[@]}"
