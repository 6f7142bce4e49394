# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For nbdsh: 64 clients at once of the stress plugin at $sock, for $seconds. Each
# has 16 requests in flight on blocks of its own disk, which nobody else may
# touch, and checks what it reads. It leaves after a random number of requests,
# politely or in the middle of them, and the next one takes its place.

import os
import random
import time

BLOCK = 4096
BLOCKS = (1 << 20) // BLOCK
end = time.monotonic() + float(os.environ["seconds"])
seed = int.from_bytes(os.urandom(4), "big")
rng = random.Random(seed)


def pattern(name, block):
    hash = 0xCBF29CE484222325  # FNV-1a
    for byte in name.encode():
        hash = (hash ^ byte) * 0x100000001B3 % 2**64
    offset = block * BLOCK
    return b"".join(
        ((hash + offset + i) % 2**64).to_bytes(8, "big") for i in range(0, BLOCK, 8)
    )


class Client:
    made = requests = rude = 0

    def __init__(self):
        Client.made += 1
        self.name = "client%d" % Client.made
        self.h = nbd.NBD()
        self.h.connect_uri(
            "nbd+unix:///%s?socket=%s" % (self.name, os.environ["sock"])
        )
        self.written = {}
        self.flying = {}  # block: (cookie, what to check)
        self.left = rng.randrange(1, 200)
        self.leaves_rudely = rng.random() < 0.3

    def issue(self):
        while self.left and len(self.flying) < 16:
            block = rng.randrange(BLOCKS)
            if block in self.flying:
                continue
            self.left -= 1
            Client.requests += 1
            if rng.random() < 0.5:
                data = rng.randbytes(8) * (BLOCK // 8)
                cookie = self.h.aio_pwrite(
                    nbd.Buffer.from_bytearray(bytearray(data)), block * BLOCK
                )
                self.written[block] = data
                self.flying[block] = cookie, None
            else:
                buf = nbd.Buffer(BLOCK)
                cookie = self.h.aio_pread(buf, block * BLOCK)
                self.flying[block] = cookie, buf

    def step(self):
        """Returns False when the client has left."""
        self.h.poll(0)
        for block, (cookie, buf) in list(self.flying.items()):
            if not self.h.aio_command_completed(cookie):
                continue
            del self.flying[block]
            if buf is not None:
                want = self.written.get(block) or pattern(self.name, block)
                assert buf.to_bytearray() == want, (seed, self.name, block)
        self.issue()
        if self.left and time.monotonic() < end:
            return True
        if self.leaves_rudely:
            Client.rude += 1
            return False
        if self.flying:
            return True
        self.h.shutdown()
        return False


clients = [Client() for i in range(64)]
while clients:
    for i, client in enumerate(clients):
        if not client.step():
            clients[i] = Client() if time.monotonic() < end else None
    clients = [c for c in clients if c]
print(
    "%d clients (%d left rudely), %d requests, seed %d"
    % (Client.made, Client.rude, Client.requests, seed)
)
