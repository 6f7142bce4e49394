#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A thousand random reads, writes, zeroes and trims, mostly unaligned, on two
# clients at once: each disk always equals its model in memory.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=3000001 command=:
nbdsh -c - <<PYTHON
import os, random
seed = int(os.environ.get("TMPDISK_TEST_SEED", random.randrange(1 << 30)))
print("TMPDISK_TEST_SEED =", seed)
rnd = random.Random(seed)
size = 3000001
clients = []
for _ in range(2):
    h = nbd.NBD()
    h.connect_uri("$uri")
    assert h.get_size() == size
    clients.append((h, bytearray(size)))
for i in range(1000):
    h, model = rnd.choice(clients)
    offset = rnd.randrange(size)
    if rnd.random() < 0.3:
        offset &= ~4095
    count = min(rnd.choice((1, 511, 4096, 65536, 300000)), size - offset)
    op = rnd.choice(("read", "write", "write", "zero", "zero-hole", "trim"))
    if op == "read":
        assert h.pread(count, offset) == model[offset:offset+count], (i, op)
    elif op == "write":
        data = rnd.randbytes(count)
        h.pwrite(data, offset, rnd.choice((0, nbd.CMD_FLAG_FUA)))
        model[offset:offset+count] = data
    elif op == "trim":
        # What a trimmed range reads as is for the server to say: here zeroes
        # for whole blocks, so only look that its neighbours are whole.
        h.trim(count, offset)
        model[offset:offset+count] = h.pread(count, offset)
    else:
        h.zero(count, offset, nbd.CMD_FLAG_NO_HOLE if op == "zero" else 0)
        model[offset:offset+count] = bytes(count)
for h, model in clients:
    assert h.pread(size, 0) == model
PYTHON
