#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Callbacks of the configuration may end the server, as nbdkit-plugin(3) says of
# exit(3): status 0 is success, and nothing is served. What they print does not
# reach a client on standard output. A server that is killed while one hangs
# leaves no process behind (the harness looks).

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty

for at in describe config config_complete; do
    FAULTY=$at:exit0 nbdkit -f -P pid ./faulty.so a=b
    [ ! -e pid ] || fail "$at: served after exit"
done

export FAULTY=config_complete:print
nbdsh -c - <<'PYTHON'
h.connect_command(["nbdkit", "-s", "./faulty.so", "a=b"])
assert h.get_size() == 1 << 20
assert h.pread(512, 0) == bytes(512)
h.shutdown()
PYTHON

FAULTY=config:hang nbdkit -f ./faulty.so a=b &
server=$!
checks() { [ -n "$(cat "/proc/$server/task/$server/children")" ]; }
wait_for 10 checks || fail "no process checks the parameters"
kill -KILL "$server"
wait "$server" || :
