#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-tmpdisk-top shows what a real server says, and says when it was killed.

# shellcheck source=top.sh
. "$(dirname "$0")/top.sh"

sessions_stay
mkdir run
serve "$plugin" size=10M type=swap session-grace=1h session-key=name status-file=run/lab.json
nbdsh -c - <<PYTHON
import subprocess, time
def connect(name):
    c = nbd.NBD()
    c.set_export_name(name)
    c.connect_unix("$sock")
    return c
a, b = connect(""), connect("swap/one")
b.pwrite(bytes(1 << 20), 0)
def shown():
    p = subprocess.run(["$top", "--once", "run"], capture_output=True, text=True)
    return p.stdout
def until(text):
    for i in range(3000):
        if text in shown():
            return
        time.sleep(0.05)
    raise SystemExit(shown())
until("# disks 2  connected 2  size 20M")
until("user $(id -u)")
until("1.0M")
b.shutdown()
until("# disks 2  connected 1  waiting 1")
PYTHON
: >"stopped.$server"
kill -KILL "$server"
{ wait "$server" || :; } 2>/dev/null
"$top" --once run >table 2>err || fail "$(cat err)"
has table "# STALE, process $server is gone"
