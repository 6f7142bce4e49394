#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# status-file: whoever reads it has a whole document, which stays the same as long
# as nothing happens; a server that ends well removes it, and one that is killed
# leaves it to its successor.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

serve "$plugin" size=10M type=swap status-file=run/lab.json
must_be 'disks == []'

# A reader that is there all the time, while disks come and go.
/usr/bin/python3 - "$status" <<'PYTHON' &
import json, os, sys
seen = set()
while not os.path.exists("enough") or len(seen) < 3:
    with open(sys.argv[1]) as f:
        seen.add(os.fstat(f.fileno()).st_ino)
        json.load(f)
PYTHON
reader=$!
for n in 40 1 30; do
    talk <<PYTHON
clients = [connect("") for i in range($n)]
for c in clients:
    c.pread(512, 0)
import json
while len(json.load(open("$status"))["disks"]) != $n:
    time.sleep(0.05)
PYTHON
    must_be 'disks == []'
done
: >enough
wait "$reader" || fail "no whole document"

# Nothing happens any more: it is written again all the same, but not soon.
/usr/bin/python3 - "$status" <<'PYTHON' || fail "written too often, or never again"
import datetime, json, sys, time
def written():
    text = json.load(open(sys.argv[1]))["server"]["written"]
    return datetime.datetime.strptime(text.rstrip("Z")[:26].ljust(26, "0"), "%Y-%m-%dT%H:%M:%S.%f")
def next_one(after):
    for i in range(3000):
        if written() != after:
            return written()
        time.sleep(0.1)
    sys.exit("not written for five minutes")
first = next_one(written())
second = next_one(first)
print(second - first)
sys.exit((second - first).total_seconds() < 10)
PYTHON

stop_server "$server"
[ -z "$(ls -A run)" ] || fail "left: $(ls -A run)"

serve "$plugin" size=10M type=swap status-file=run/lab.json
must_be "d['server']['pid'] == $server"
kill_server
status_is "d['server']['pid'] == $server" || fail "the file of a killed server is gone"
again "$plugin" size=10M type=swap status-file=run/lab.json
must_be "d['server']['pid'] == $server"
[ "$(stat -c %a "$status")" = 600 ] || fail "$(stat "$status")"
