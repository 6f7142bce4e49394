#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client that is killed with requests in flight leaves nothing, and the
# server serves the next one.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
for _ in 1 2 3; do
    rm -f ready
    nbdsh -u "$uri" -c '
h.pwrite(bytes(1 << 20), 0)
open("ready", "w").close()
while True:
    for _ in range(16):
        h.aio_pread(nbd.Buffer(2 << 20), 0)
    h.poll(0)
' &
    client=$!
    wait_for 10 test -e ready || fail "the client did not start"
    kill -KILL "$client"
    wait "$client" 2>/dev/null || :
    exercise
done
