#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What is right for root and wrong for the user of nbdkit -u is told to each
# client, and does not end a server that nobody looks at any more.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
mkdir -m 700 private
chmod 711 "$TMPDISK_TEST_DIR"
chmod 1777 "$TMPDIR" "$work"
install -m 755 "$plugin" "$TMPDISK_TEST_DIR/tmpdisk.so"
serve -u nobody "$TMPDISK_TEST_DIR/tmpdisk.so" size=10M template-dir=private
refused
wait_for 10 grep -q 'error: parameter template-dir: .*private' "$log" ||
    fail "not in the log"
status=0
# shellcheck disable=SC2016 # for the shell that nbdkit runs
timeout 20 nbdkit -u nobody -U "$work/sock" "$TMPDISK_TEST_DIR/tmpdisk.so" size=10M command-user=games \
    --run 'nbdinfo --size "$uri"' >run.log 2>&1 || status=$?
[ "$status" -ne 124 ] || fail "nbdkit --run hangs"
has run.log 'parameter command-user'
