#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs runs when the server starts, for all clients. Those who come meanwhile
# wait for that run. One that fails is in the log before any client has come,
# and is tried again for the next one, with the error for him alone.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4
export runs=$work/runs hold=$work/hold broken=$work/broken
mkdir bin
cat >bin/mkfs.ext4 <<MKFS
#!/bin/sh
echo >>"\$runs"
while [ -e "\$hold" ]; do sleep 0.05; done
[ ! -e "\$broken" ] || { echo "no such luck" >&2; exit 3; }
exec $(command -v mkfs.ext4) "\$@"
MKFS
chmod +x bin/mkfs.ext4
PATH=$work/bin:$PATH
ran() { [ "$(wc -l <"$runs")" -eq "$1" ]; }
client() { nbdsh -u "$uri" -c 'assert h.pread(2, 1024 + 56) == b"\x53\xef"'; }

: >"$runs"
: >"$hold"
serve -v "$plugin" size=100M
wait_for 20 ran 1 || fail "mkfs does not run at the start"
clients=()
for _ in 1 2 3; do
    client &
    clients+=($!)
done
three_wait() { [ "$(grep -c ': open readonly' "$log")" -eq 3 ]; }
wait_for 20 three_wait || fail "three clients, and not three opens"
rm "$hold"
for c in "${clients[@]}"; do
    wait "$c" || fail "a client that came early was not served"
done
client
ran 1 || fail "$(wc -l <"$runs") runs of mkfs, want 1"
stop_server "$server"

: >"$runs"
: >"$broken"
serve "$plugin" size=100M
wait_for 20 grep -q 'error: type ext4: no disk can be made.*no such luck' "$log" ||
    fail "nothing about it in the log"
refused
[ "$(grep -c 'error: command: exit code 3.*no such luck' "$log")" -eq 1 ] || fail "the client was not told"
ran 2 || fail "$(wc -l <"$runs") runs of mkfs, want 2"
rm "$broken"
client
client
ran 3 || fail "$(wc -l <"$runs") runs of mkfs, want 3"
