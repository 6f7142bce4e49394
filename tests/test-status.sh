#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# status-file: says of each disk whose it is, in which state, and exactly what was
# done with it, and never says a session's token.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

sessions_stay
requires root
chmod 711 "$TMPDISK_TEST_DIR" "$work"
mkdir exports
printf 'type=swap\nsize=2M\nsession-grace=1h\nexport-description=Swap\n' >exports/swap.conf
serve "$plugin" size=10M label=own export-dir=exports status-file=run/lab.json
chmod 666 "$sock"

must_be 'd["format"] == 1 and disks == [] and len(d["latency"]["counts"]) == len(d["latency"]["buckets_us"]) + 1'
must_be "d['server']['pid'] == $server and d['server']['name'] == 'lab' and d['server']['tmpdir'] == '$TMPDIR'"
must_be 'd["server"]["parameters"]["label"] == "own" and 0 < d["server"]["tmpdir_free"] < d["server"]["tmpdir_size"]'
must_be '[(e["name"], e["kind"], e["type"], e["size"], e["disks"]) for e in d["exports"]] == [("", "mold", "ext4", 10 << 20, 0), ("swap", "mold", "swap", 2 << 20, 0)]'
[ "$(stat -c %a:%U "$status")" = "600:$(id -un)" ] || fail "$(stat "$status")"

# A client that goes on whenever the test says next.
mkfifo go
talk >client.log 2>&1 <<'PYTHON' &
go = open("go")
def step():
    go.readline()
a = connect("")
step()
a.pread(512, 0)                             # Go's, and so are those with a flag
for i in range(300):
    a.pread(4096, i * 512)
for i in range(7):
    a.pwrite(bytes(1000), i * 1000)
for i in range(3):
    a.pwrite(bytes(100), 0, nbd.CMD_FLAG_FUA)
a.trim(4096, 0)
a.trim(8192, 0)
a.zero(65536, 0)
a.zero(512, 0, nbd.CMD_FLAG_NO_HOLE)
a.zero(512, 512)
a.flush()
step()
os.seteuid(65534)
b = connect("swap/secret-token")
b.pwrite(b"one", 512 * 9)
step()
c = connect("swap/secret-token")
c.pwrite(b"three", 512 * 9)                  # from now on b is fenced
step()
c.shutdown()
step()
b.shutdown()
step()
want(connect("swap/secret-token").pread(5, 512 * 9), b"three")
PYTHON
client=$!
exec 7>go
next() { echo >&7; }
kinds='(lambda x: [x[k][n] for k in ("read", "written", "trimmed", "zeroed") for n in ("requests", "bytes")])'

must_be '[(x["export"], x["peer"], x["state"], x["size"]) for x in disks] == [("", "user 0", "connected", 10 << 20)]'
must_be "$kinds(disks[0]) == [0] * 8 and 'last' not in disks[0] and 'session' not in disks[0]"
next
must_be "$kinds(disks[0]) == [301, 512 + 300 * 4096, 10, 7300, 2, 12288, 3, 66560] and 'last' in disks[0]"
must_be 'sum(d["latency"]["counts"]) > 0 and disks[0]["allocated"] > 0'
next
must_be '[(x["number"], x["export"], x["peer"], x["state"], x["size"]) for x in disks[1:]] == [(2, "swap", "user 65534", "connected", 2 << 20)]'
must_be "$kinds(disks[1]) == [0, 0, 1, 3, 0, 0, 0, 0]"
session=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["disks"][1]["session"])' "$status")
[[ $session =~ ^[0-9a-f]{12}$ ]] || fail "session: $session"
next
must_be "$kinds(disks[1])[2:4] == [2, 8] and disks[1]['state'] == 'connected'"
next
must_be 'len(disks) == 2 and disks[1]["state"] == "fenced"'
next
must_be 'disks[1]["state"] == "waiting" and d["exports"][1]["disks"] == 1 and disks[1]["allocated"] > 0'
must_be "$kinds(disks[1])[2:4] == [2, 8] and disks[1]['session'] == '$session' and disks[1]['peer'] == 'user 65534'"
next
wait "$client" || fail "$(cat client.log)"
# It waits again, with the numbers of all its clients; the other one is gone.
must_be "[(x['number'], x['state'], $kinds(x)[:4]) for x in disks] == [(2, 'waiting', [1, 5, 2, 8])]"
if grep -rF secret run; then
    fail "the token"
fi
