#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# ./quickstart builds, serves, shows what a client sees, and cleans up on
# SIGINT. Everything it needs is there already, so it needs no root.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires gcc nbdinfo
use_go
copy_tree "$work/tree"
cd "$work/tree"
# A background process ignores SIGINT if its shell is not interactive.
set -m
./quickstart type=ext4 label=hello >"$work/quickstart.log" 2>&1 &
job=$!
set +m
serving() { grep -q "Serving until" "$work/quickstart.log"; }
wait_for 120 serving || fail "it does not serve"
uri=$(sed -n 's/^ *\(nbd+unix:[^ ]*\)$/\1/p' "$work/quickstart.log")
nbdinfo --size "$uri"
has "$work/quickstart.log" 'LABEL="hello"'
has "$work/quickstart.log" 'TYPE="ext4"'
has "$work/quickstart.log" 'export-size: 1073741824'
kill -INT -- "-$job"
wait_for 20 gone "$job" || fail "it did not end on SIGINT"
[ -z "$(ls -A "$TMPDIR")" ] || fail "left behind: $(ls -A "$TMPDIR")"
