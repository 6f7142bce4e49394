#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# SIGTERM while spare disks are being made and clients wait: the server ends
# without waiting for the command, and nothing is left of it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

started=$PWD/started
: >"$started"
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M spare-disks=5 make-jobs=3 started="$started" \
    command='echo >>"$started"; trap "" TERM; sleep 1000; sleep 1000'
three() { [ "$(wc -l <"$started")" -eq 3 ]; }
wait_for 30 three
nbdinfo "$uri" >info 2>&1 &
client=$!
stop_server "$server"
if wait "$client"; then
    fail "a client was served with no disk made"
fi
