#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A server that may make no link to its base, which is another user's, says so once. Its
# sessions go on as long as the base is at its path.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root
[ "$(cat /proc/sys/fs/protected_hardlinks)" = 1 ] || skip "links to others' files are not protected"
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work" "$TMPDIR"
chown nobody "$sessions"
private=$sessions/nbdkit-tmpdisk-sessions-$(id -u nobody)
truncate -s 10M base.img
chmod 644 base.img

serve -u nobody "$plugin" base=base.img session-grace=1h session-dir="$sessions"
writes base/one text
writes base/two text
finds base/one text
kept_is '*.disk' 2 || fail "want two disks: $(ls "$private")"
kept_is '*.base' 0 || fail "there is a link: $(ls "$private")"
[ "$(grep -c "base.img: sessions have no link to it.*fs.protected_hardlinks" "$log")" -eq 1 ] || fail "not said once"
stop_server "$server"
