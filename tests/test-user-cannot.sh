#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What is right for root and wrong for the user of nbdkit -u ends nbdkit with exit
# status 1 and a message, although it shows only after the fork.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
mkdir -m 700 private
chmod 711 "$TMPDISK_TEST_DIR"
chmod 1777 "$TMPDIR" "$work"
install -m 755 "$plugin" "$TMPDISK_TEST_DIR/tmpdisk.so"
fails() {
    local text=$1 status=0
    shift
    timeout 300 nbdkit -u nobody -U "$work/sock" "$TMPDISK_TEST_DIR/tmpdisk.so" size=10M \
        "$@" >run.log 2>&1 || status=$?
    [ "$status" -eq 1 ] || fail "$*: got exit status $status, want 1"
    has run.log "error: parameter $text"
    rm -f sock
}
fails template-dir: template-dir=private -f
fails template-dir: template-dir=private
# shellcheck disable=SC2016 # for the shell that nbdkit runs
fails command-user command-user=games --run 'nbdinfo --size "$uri"'
