#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# SIGTERM ends the server while each of eight clients has 16 requests in flight
# that would take an hour.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/stress

for start in serve serve_daemon; do
    $start ./stress.so
    sock=$sock server=$server nbdsh -c - <<'PYTHON'
import os, signal, time
clients = []
for i in range(8):
    h = nbd.NBD()
    h.connect_uri("nbd+unix:///slow?socket=" + os.environ["sock"])
    for j in range(16):
        h.aio_pread(nbd.Buffer(4096), 4096 * j)
    clients.append(h)
time.sleep(0.3)
os.kill(int(os.environ["server"]), signal.SIGTERM)
for h in clients:
    while not (h.aio_is_dead() or h.aio_is_closed()):
        try:
            h.poll(-1)
        except nbd.Error:
            break
PYTHON
    wait_for 10 gone "$server" || fail "the server did not end"
    : >"$work/stopped.$server"
done
