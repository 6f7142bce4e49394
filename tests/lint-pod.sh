#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# podchecker finds neither an error nor a warning in the manual page.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires podchecker
podchecker -warnings -warnings "$top_srcdir"/*.pod >pod.log 2>&1 || fail "errors"
if grep -E 'WARNING|ERROR' pod.log; then
    fail "warnings"
fi
