#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With session-key=peer a session is its user's alone; with session-key=name it
# is whoever's knows the name.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root setpriv
chmod 711 "$TMPDISK_TEST_DIR" "$work"

# somebody COMMAND...: as another user.
somebody() {
    local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "$@"
}

serve "$plugin" size=10M type=swap session-grace=1h
chmod 666 "$sock"
writes swap/one mine
somebody fresh swap/one
somebody writes swap/one hers
finds swap/one mine
somebody finds swap/one hers
stop_server "$server"

serve "$plugin" size=10M type=swap session-grace=1h session-key=name
chmod 666 "$sock"
writes swap/one ours
somebody finds swap/one ours
