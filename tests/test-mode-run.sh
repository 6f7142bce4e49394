#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit --run serves the command it was given and passes on its status.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

nbdkit -U - "$plugin" size=10M \
    --run "export uri; nbdsh -c - <'$top_srcdir/tests/exercise.py'"
status=0
nbdkit -U - "$plugin" size=10M --run 'exit 7' || status=$?
[ "$status" -eq 7 ] || fail "got status $status, want 7"
