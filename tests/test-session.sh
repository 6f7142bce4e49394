#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client that asked for EXPORT/TOKEN finds its disk again, and nobody else does.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

serve -v "$plugin" size=10M type=swap session-grace=1h
writes swap/one first
finds swap/one first
for other in swap/two swap other/one ''; do
    fresh "$other"
done
talk <<'PYTHON'
# A connection that ends without a word, and one that nobody waited for.
c = connect("swap/one")
c.pwrite(b"again", 512 * 9)
del c
want(connect("swap/one").pread(5, 512 * 9), b"again")
PYTHON

# Without a slash every disk is gone with its client, as ever.
writes swap gone
fresh swap

refuses swap/
logged 'nothing follows the slash'

# Whoever does not even read leaves nothing.
nbdinfo --no-content "nbd+unix:///swap/probe?socket=$sock" >/dev/null
nbdinfo --size "nbd+unix:///swap/probe?socket=$sock" >/dev/null
key() { sed -n 's/.*session \([0-9a-f]*\): begun, in export "swap".*/\1/p' "$log" | tail -n 1; }
probe=$(key)
! grep -qF "session $probe: waits" "$log" || fail "a probe left a session"
writes swap/three x
[ "$(key)" != "$probe" ] || fail "not the newest session"
logged "session $(key): waits"
stop_server "$server"

# A size that changed is not that of a disk that there was.
serve "$plugin" size=10M type=swap session-grace=1h session-dir="$sessions"
writes swap/one first
stop_server "$server"
serve "$plugin" size=20M type=swap session-grace=1h session-dir="$sessions"
talk <<<'want(connect("swap/one").get_size(), 10 << 20); want(connect("swap/two").get_size(), 20 << 20)'
finds swap/one first
