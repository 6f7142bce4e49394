#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Two servers share a GlusterFS volume. One is killed; its client comes back through
# the balancer, to the other one, and finds all that was flushed.

# shellcheck source=gluster.sh
. "$(dirname "$0")/gluster.sh"

volume
serve_at a
serve_at b -v
balance
clients <<'PYTHON'
model = bytearray(SIZE)
h = connect("balancer.sock", "swap/one")
for i in range(100):
    put(h, model, i, "FUA %d" % i, nbd.CMD_FLAG_FUA)
for i in range(50, 200):
    put(h, model, i, "flushed %d" % i)
h.zero(20 * BLOCK, 10 * BLOCK)
h.zero(20 * BLOCK, 30 * BLOCK, nbd.CMD_FLAG_NO_HOLE)
model[10 * BLOCK:50 * BLOCK] = bytes(40 * BLOCK)
h.flush()
shell("kill_at a")

h = connect("balancer.sock", "swap/one")
want_disk(h.pread(SIZE, 0), model, "after the kill")
put(h, model, 0, "by the other server", nbd.CMD_FLAG_FUA)
want_disk(h.pread(SIZE, 0), model, "written on")
h.shutdown()
shell("heal")
want_bricks(model, "in the end")
PYTHON
has "$log" 'resumed'
