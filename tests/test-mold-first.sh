#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs runs once, before the server forks, for all clients. If it fails for what may pass,
# the server starts, the log says so before any client has come, and the next client tries
# again, with the error for him alone. Those who come meanwhile wait for that run.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4
export runs=$work/runs hold=$work/hold full=$work/full
mkdir bin
cat >bin/mkfs.ext4 <<MKFS
#!/bin/sh
echo >>"\$runs"
while [ -e "\$hold" ]; do sleep 0.05; done
[ ! -e "\$full" ] || { echo "no luck: No space left on device" >&2; exit 3; }
exec $(command -v mkfs.ext4) "\$@"
MKFS
chmod +x bin/mkfs.ext4
PATH=$work/bin:$PATH
ran() { [ "$(wc -l <"$runs")" -eq "$1" ]; }
client() { nbdsh -u "$uri" -c 'assert h.pread(2, 1024 + 56) == b"\x53\xef"'; }

: >"$runs"
serve "$plugin" size=100M
ran 1 || fail "$(wc -l <"$runs") runs of mkfs before the server listens, want 1"
client
client
ran 1 || fail "$(wc -l <"$runs") runs of mkfs, want 1"
stop_server "$server"

: >"$runs"
: >"$full"
serve -v "$plugin" size=100M
wait_for 20 grep -q 'error: type ext4: no disk can be made.*no luck' "$log" ||
    fail "nothing about it in the log"
before=$(wc -l <"$runs")
refused
[ "$(grep -c 'error: command: exit code 3.*no luck' "$log")" -eq 1 ] || fail "the client was not told"
ran $((before + 1)) || fail "$(wc -l <"$runs") runs of mkfs, want $((before + 1))"

: >"$hold"
rm "$full"
opened=$(grep -c ': open readonly' "$log")
clients=()
for _ in 1 2 3; do
    client &
    clients+=($!)
done
three_wait() { [ "$(grep -c ': open readonly' "$log")" -eq $((opened + 3)) ]; }
wait_for 20 three_wait || fail "three clients, and not three opens"
rm "$hold"
for c in "${clients[@]}"; do
    wait "$c" || fail "a client that came early was not served"
done
client
ran $((before + 2)) || fail "$(wc -l <"$runs") runs of mkfs, want $((before + 2))"
