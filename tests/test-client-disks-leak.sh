#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# client-disks: whichever way clients go, all their slots are free again.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires nbdinfo
ulimit -n 4096 2>/dev/null || skip "needs 4096 open files"
serve "$plugin" size=1M type=swap client-disks=200

# all_free: 200 clients get a disk at the same time, and one more does not.
all_free() {
    talk <<'PYTHON'
clients = []
for i in range(3000):
    try:
        clients.append(connect(""))
    except nbd.Error:
        if len(clients) == 200:
            break
        time.sleep(0.05)    # disks are closed after their sockets
want(len(clients), 200)
refused("")
PYTHON
}

all_free
for i in {1..20}; do
    nbdinfo "$uri" >/dev/null
    nbdinfo --size "$uri" >/dev/null
done
all_free

# 200 that are killed when they have a disk.
talk <<'PYTHON'
r, w = os.pipe()
pids = []
for i in range(200):
    pids.append(os.fork())
    if pids[-1] == 0:
        while True:
            try:
                c = connect("")
                break
            except nbd.Error:
                time.sleep(0.05)
        os.write(w, b"x")
        c.pwrite(b"x", 0)
        time.sleep(1000)
left = 200
while left:
    left -= len(os.read(r, left))
for pid in pids:
    os.kill(pid, 9)
for pid in pids:
    os.waitpid(pid, 0)
PYTHON
all_free

# 200 that ask for one and hang up, at each point of the negotiation.
talk <<'PYTHON'
import socket, struct
go = struct.pack(">QIIIH", 0x49484156454f5054, 7, 6, 0, 0)
info = struct.pack(">QIIIH", 0x49484156454f5054, 6, 6, 0, 0)
says = struct.pack(">I", 3) + info + go
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["sock"])
    s.sendall(says[:len(says) - i % 50 if i % 2 else None])
    s.close()
PYTHON
all_free
