#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# session-token=required turns away a client that names no session, and says what to ask
# for; exports are listed all the same, and one may do without. Several disks of one client
# are marked in status-file.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

sessions_stay
mkdir exports
printf 'size=1M\ntype=swap\n' >exports/strict.conf
printf 'size=1M\ntype=swap\nsession-token=optional\n' >exports/free.conf
printf 'size=1M\ntype=swap\nsession-grace=0\n' >exports/none.conf
serve "$plugin" size=1M type=swap export-dir=exports session-grace=1h session-token=required status-file=run/lab.json
talk <<'PYTHON'
def refused(name):
    try:
        connect(name)
    except nbd.Error:
        return
    raise SystemExit("%r was served" % name)
refused("")
refused("strict")
connect("/token").pwrite(b"x", 0)
connect("strict/token").pwrite(b"x", 0)
connect("none").pwrite(b"x", 0)
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_unix(os.environ["sock"])
names = []
h.opt_list(lambda name, description: names.append(name))
h.opt_abort()
want(names, ["", "free", "none", "strict"])
PYTHON
has "$log" 'export "strict": a client must name a session (session-token=required): ask for "strict/TOKEN"'
has "$log" 'export "": a client must name a session (session-token=required): ask for "/TOKEN"'

mkfifo go
talk <<'PYTHON' &
several = [connect("free") for i in range(3)] + [connect("free/token"), connect("none")]
open("go").readline()
PYTHON
client=$!
exec 7>go
must_be '[x.get("several") for x in disks if x["state"] == "connected"] == [3, 3, 3, None, None]'
echo >&7
wait "$client"
stop_server "$server"

rejected 'parameter session-token: only works with session-grace=' size=1M session-token=required
rejected 'parameter session-token: "yes": give one of optional, required' size=1M session-grace=1h session-token=yes
