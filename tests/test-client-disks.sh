#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# client-disks=2: each user has two disks at a time. One more is refused before
# anything is made for it, whether the others are there or still being made.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$work"
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M client-disks=2 witness="$work/witness" hold="$work/hold" \
    command='echo begun >>"$witness"; while [ -e "$hold" ]; do sleep 0.05; done; truncate -s 1M "$disk"'
chmod 666 "$sock"

talk <<'PYTHON'
def begun():
    return len(open("witness").readlines())

def as_user(uid, f):
    os.seteuid(uid)         # as which the kernel shows us to the server
    try:
        return f()
    finally:
        os.seteuid(0)

def soon(f):
    """nbdkit closes the socket first, and then the disk."""
    for i in range(3000):
        try:
            return f()
        except nbd.Error:
            time.sleep(0.05)
    sys.exit("the slot is not free")

mine = [connect("") for i in range(2)]
for i in range(3):
    refused("")
want(begun(), 2)
hers = [as_user(65534, lambda: connect("")) for i in range(2)]
as_user(65534, lambda: refused(""))
refused("")
want(begun(), 4)

# Hers is free, which is of no use to me. What I gave back is made no more.
hers.pop().shutdown()
hers.append(soon(lambda: as_user(65534, lambda: connect(""))))
refused("")
mine.pop().shutdown()
mine.append(soon(lambda: connect("")))
refused("")
as_user(65534, lambda: refused(""))

# Those that are being made count, until their clients go.
for c in mine:
    c.pwrite(b"used", 0)
    c.shutdown()
open("hold", "w").close()
before = begun()
pids = []
for i in range(2):
    pids.append(os.fork())
    if pids[i] == 0:
        while True:
            try:
                connect("")
            except nbd.Error:   # the disks above were closed just now
                time.sleep(0.05)
for i in range(3000):
    if begun() == before + 2:
        break
    time.sleep(0.05)
want(begun(), before + 2)
for i in range(3):
    refused("")
want(begun(), before + 2)
for pid in pids:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
os.unlink("hold")
mine = [soon(lambda: connect("")) for i in range(2)]
refused("")
PYTHON
has "$log" 'client "user 0" has 2 of client-disks=2'
has "$log" 'client "user 65534" has 2 of client-disks=2'
