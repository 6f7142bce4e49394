#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The plugin exports plugin_init, and no other name that could clash with
# another library.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires nm
got=$(nm -D --defined-only "$plugin" | awk '{ print $NF }')
[ "$got" = plugin_init ] || fail "exports: $got"
