#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# After the machine has been started again, a session is refused and its disk is
# removed; with session-sync=yes it goes on. So it does if only the server was
# started again.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root unshare
args=("$plugin" size=10M type=swap session-grace=1h session-dir="$sessions")

serve "${args[@]}"
writes swap/lost x
stop_server "$server"
serve "${args[@]}" session-sync=yes
writes swap/kept y
stop_server "$server"

rebooted
serve "${args[@]}"
refuses swap/lost
logged 'the machine has been started again'
finds swap/kept y
fresh swap/other
kept_is '*.disk' 2 || fail "want two disks: $(ls "$private")"
