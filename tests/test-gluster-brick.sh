#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Of a GlusterFS volume with sessions on it one brick after the other is killed and
# comes back, in the middle of writes. The client notices nothing, and in the end every
# brick has all there is.

# shellcheck source=gluster.sh
. "$(dirname "$0")/gluster.sh"

volume
serve_at a
clients <<'PYTHON'
import threading

model, n, error = bytearray(SIZE), 0, None
enough = threading.Event()
h = connect("a.sock", "swap/one")
put(h, model, BLOCKS - 1, "the end")

def write():
    global n, error
    try:
        while not enough.is_set():
            put(h, model, n * 7 % (BLOCKS - 1), "no. %d" % n, nbd.CMD_FLAG_FUA if n % 3 else 0)
            n += 1
            if n % 50 == 0:
                h.zero(3 * BLOCK, n % BLOCKS // 4 * BLOCK, nbd.CMD_FLAG_FUA)
                model[n % BLOCKS // 4 * BLOCK:(n % BLOCKS // 4 + 3) * BLOCK] = bytes(3 * BLOCK)
                h.flush()
    except BaseException as ex:
        error = ex

def some_more():
    """Until there are some more writes than there are now."""
    until = n + 100
    while n < until and error is None:
        time.sleep(0.01)

writer = threading.Thread(target=write)
writer.start()
for brick in 1, 2, 3:
    some_more()
    shell("kill_brick %d" % brick)
    some_more()
    shell("start_bricks")
    some_more()
    shell("heal")
enough.set()
writer.join()
want(error, None, "the client")
h.flush()
want_disk(h.pread(SIZE, 0), model, "the client's disk")
shell("heal")
want_bricks(model, "in the end")
print(n, "writes, and three bricks killed")
PYTHON
