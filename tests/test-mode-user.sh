#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit -u: the server changes user when it goes into the background, and the
# disk is made as that user.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work" "$TMPDIR"
serve_daemon -u nobody "$plugin" size=10M \
    command="id -u >'$work/uid'; mkfs.ext4 -q -F \"\$disk\""
exercise
[ "$(cat uid)" = "$(id -u nobody)" ] || fail "the command ran as $(cat uid)"
