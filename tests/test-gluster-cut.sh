#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Two servers share a GlusterFS volume. One is cut off from the bricks and goes on
# running; its clients come back to the other one, and find all that was flushed. When
# the first one has the bricks again, nothing that its old connections ask for changes a
# disk, whether they tried so meanwhile or not. To have a session again that server must
# take it over.

# shellcheck source=gluster.sh
. "$(dirname "$0")/gluster.sh"

volume
serve_at a
serve_at b
balance
clients <<'PYTHON'
import threading

KINDS = "write", "FUA write", "zero", "zero without a hole", "trim", "flush"

class Session:
    def __init__(self, name):
        self.name, self.model, self.came_of = name, bytearray(SIZE), set()
        self.old = connect("a.sock", name)
        put(self.old, self.model, BLOCKS - 1, name)
        for i in range(200):
            put(self.old, self.model, i, "flushed %d" % i)
        self.old.flush()

    def come_back(self):
        self.new = connect("balancer.sock", self.name)

    def renew(self):
        """What was flushed is there; from now on the disk has something else."""
        for at in range(0, 200 * BLOCK, 40 * BLOCK):
            want_disk(self.new.pread(40 * BLOCK, at), self.model[at:at + 40 * BLOCK], "after the cut")
        for i in range(BLOCKS - 1):
            put(self.new, self.model, i, "new %d" % i)
        self.new.flush()

    def stale(self, text):
        """Notes what comes of everything that changes a disk, by the old connection."""
        old, data, blocks = self.old, nbd.Buffer.from_bytearray(block(text)), range(20)
        asked = [[old.aio_pwrite(data, i * BLOCK) for i in blocks],
                 [old.aio_pwrite(data, (20 + i) * BLOCK, flags=nbd.CMD_FLAG_FUA) for i in blocks],
                 [old.aio_zero(BLOCK, (40 + i) * BLOCK) for i in blocks],
                 [old.aio_zero(BLOCK, (60 + i) * BLOCK, flags=nbd.CMD_FLAG_NO_HOLE) for i in blocks],
                 [old.aio_trim(BLOCK, (80 + i) * BLOCK) for i in blocks],
                 [old.aio_flush()]]
        for kind, cookies in zip(KINDS, asked):
            for error in finish(old, cookies, 30):
                self.came_of.add((kind, "no answer" if error is None else errno.errorcode.get(error, "success")))

busy, idle = sessions = Session("swap/busy"), Session("swap/idle")
shell("cut_off a")
haproxy("set server nbd/a state maint")
busy.old.aio_pwrite(nbd.Buffer.from_bytearray(block("stuck")), 220 * BLOCK)
threads = [threading.Thread(target=s.come_back) for s in sessions]
for t in threads:
    t.start()
for t in threads:
    t.join()
for s in sessions:
    s.renew()
busy.stale("cut off")
for s in sessions:
    want_bricks(s.model, s.name + ": while its server is cut off")

# One tries all the while that the bricks come back, and both afterwards.
back = subprocess.Popen(["bash", "-c", "connected_again a && sleep 2"])
while back.poll() is None:
    busy.stale("stale")
    time.sleep(0.1)
want(back.returncode, 0, "connected again")
for s in sessions:
    s.stale("late")
    print(s.name, "was told:", sorted(s.came_of))
time.sleep(1.5)     # what a server has not passed on at once it has by now
for s in sessions:
    want_bricks(s.model, s.name + ": when its server is back")
    for i in range(10, 20):
        put(s.new, s.model, i, "newer %d" % i, nbd.CMD_FLAG_FUA)
shell("heal")
for s in sessions:
    want_bricks(s.model, s.name + ": after the volume has healed")
    want([what for what in sorted(s.came_of) if what[1] == "success"], [], s.name)

# The server that was cut off gets a session when its old client has left, and the
# other one has given it back.
idle.old = None
try:
    early = nbd.NBD()
    early.set_export_name("swap/idle")
    early.connect_unix("a.sock")
    sys.exit("two servers have a session")
except nbd.Error as ex:
    print("refused, as it should be:", ex)
for s in sessions:
    s.old = None
    s.new.shutdown()
    s.new = connect("a.sock", s.name)
    want_disk(s.new.pread(SIZE, 0), s.model, s.name + ": at the first server again")
    put(s.new, s.model, 100, "again", nbd.CMD_FLAG_FUA)
shell("heal")
for s in sessions:
    want_bricks(s.model, s.name + ": in the end")
PYTHON
