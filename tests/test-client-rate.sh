#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# client-rate and client-iops: all the disks of a client together move no more than
# a second's worth at once, and then so much a second. It gets no error for it.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

# limited: talk, with these functions as well.
limited() {
    { cat <<'PYTHON'; cat; } | talk
RATE, IOPS = 4 << 20, 200

def connect(name):
    c = nbd.NBD()
    c.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    c.set_export_name(name)
    c.connect_unix(os.environ["sock"])
    return c

def run(seconds, request, clients=3, depth=4):
    """Calls request(client, completion) for as long, and returns how often it was
    answered, and in which time."""
    done, errors = [], []
    def completed(err):
        (errors if err.value else done).append(err.value)
        return 1
    conns = [connect("") for i in range(clients)]
    begun = time.monotonic()
    asked = 0
    while time.monotonic() < begun + seconds:
        for c in conns:
            while c.aio_in_flight() < depth:
                request(c, completed)
                asked += 1
        for c in conns:
            c.poll(10)
    answered, took = len(done), time.monotonic() - begun
    for c in conns:
        while c.aio_in_flight() > 0:
            c.poll(-1)
        c.shutdown()
    want((len(done), errors), (asked, []))
    return answered, took

def at_most(what, got, rate, took):
    # The burst, and what came in that time; the last may go 50 microseconds early.
    if got > rate * (1 + took) * 1.01:
        sys.exit("%s: %d in %.3f s, more than %d a second" % (what, got, took, rate))
    print("%s: %d in %.3f s" % (what, got, took))
PYTHON
}

serve "$plugin" size=64M type=swap client-rate=4M
limited <<'PYTHON'
SIZE = 64 << 10
n, took = run(3, lambda c, f: c.aio_pread(nbd.Buffer(SIZE), 0, completion=f))
at_most("read", n * SIZE, RATE, took)
n, took = run(3, lambda c, f: c.aio_pwrite(nbd.Buffer(SIZE), 0, completion=f))
at_most("written", n * SIZE, RATE, took)
# To have the server read ahead is to have it read.
n, took = run(3, lambda c, f: c.aio_cache(SIZE, 0, completion=f))
at_most("cached", n * SIZE, RATE, took)
# These have no bytes.
c = connect("")
for i in range(100):
    c.zero(64 << 20, 0)
    c.trim(64 << 20, 0)
    c.flush()
    c.block_status(64 << 20, 0, lambda *args: 0)
PYTHON
stop_server "$server"

serve "$plugin" size=64M type=swap client-iops=200
limited <<'PYTHON'
kinds = [lambda c, f: c.aio_pread(nbd.Buffer(1), 0, completion=f),
         lambda c, f: c.aio_pwrite(nbd.Buffer(1), 0, completion=f),
         lambda c, f: c.aio_trim(512, 0, completion=f),
         lambda c, f: c.aio_zero(512, 0, completion=f),
         lambda c, f: c.aio_flush(completion=f),
         lambda c, f: c.aio_cache(512, 0, completion=f),
         lambda c, f: c.aio_block_status(512, 0, lambda *args: 0, completion=f)]
n, took = run(3, lambda c, f: kinds[os.urandom(1)[0] % len(kinds)](c, f))
at_most("requests", n, IOPS, took)
# To hang up and to come again is no way round it, nor are several at a time.
begun, n = time.monotonic(), 0
while time.monotonic() < begun + 2:
    c = connect("")
    for i in range(50):
        c.pread(1, 0)
        n += 1
    c.shutdown()
if n > IOPS * (1 + time.monotonic() - begun) + 1:
    sys.exit("%d requests of clients that come again" % n)
PYTHON
