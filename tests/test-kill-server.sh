#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# kill -9 of the server while a disk is in use leaves no process and no file.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
mkfifo end
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)' -c 'open("connected", "w").close()' \
    -c 'open("end").read()' &
client=$!
wait_for 10 test -e connected || fail "the client did not connect"
: >"stopped.$server"
kill -KILL "$server"
wait_for 10 gone "$server" || fail "still there"
: >end
wait "$client" || :
