# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For nbdsh, by run: measures the servers whose sockets and pid files are in
# $scratch, in turn.

import os
import statistics

REQUESTS = 100000
DEPTH = 16
BLOCK = 4096
scratch = os.environ["scratch"]


def cpu(pid):
    """Microseconds of CPU that the process has used, all threads: the
    scheduler's own count, without the 10 ms steps of /proc/PID/stat."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total / 1000


class Server:
    def __init__(self, kind):
        with open(scratch + "/%s.pid" % kind) as f:
            self.pid = int(f.read())
        self.h = nbd.NBD()
        self.h.connect_uri("nbd+unix:///?socket=%s/%s.sock" % (scratch, kind))
        self.buffers = [nbd.Buffer(BLOCK) for i in range(DEPTH)]

    def measure(self):
        """CPU per request in microseconds. The connection, and so its thread,
        stays: a thread that ends takes its count with it."""
        h, flying, before = self.h, [], cpu(self.pid)
        for i in range(REQUESTS):
            if len(flying) == DEPTH:
                cookie = flying.pop(0)
                while not h.aio_command_completed(cookie):
                    h.poll(-1)
            flying.append(h.aio_pread(self.buffers[i % DEPTH], i % 256 * BLOCK))
        for cookie in flying:
            while not h.aio_command_completed(cookie):
                h.poll(-1)
        return (cpu(self.pid) - before) / REQUESTS


servers = Server("c"), Server("go")
for s in servers:
    s.measure()  # warm
pairs = []
for i in range(int(os.environ["rounds"])):
    order = (0, 1) if i % 2 == 0 else (1, 0)
    got = {}
    for j in order:
        got[j] = servers[j].measure()
    pairs.append((got[0], got[1]))
    print("C %.2f  Go %.2f  difference %.2f us/request" % (*pairs[-1], got[1] - got[0]))
print(
    "median: C %.2f  Go %.2f  difference %.2f us/request, %d pairs"
    % (
        statistics.median(c for c, go in pairs),
        statistics.median(go for c, go in pairs),
        statistics.median(go - c for c, go in pairs),
        len(pairs),
    )
)
