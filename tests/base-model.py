# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For nbdsh: $requests random requests, up to 32 in flight on one connection to a disk
# over $base at $uri. No two of them that are in flight change one byte, but often one
# block. What a read returns must be what a model in memory has, and what block status
# calls a hole or zeroes must be zeroes there. $trims is "exact" if each byte that was
# trimmed reads as zero. Repeat a run by $TMPDISK_TEST_SEED.

import os
import random

DEPTH = 32
seed = int(os.environ.get("TMPDISK_TEST_SEED", random.randrange(1 << 30)))
print("TMPDISK_TEST_SEED =", seed)
rng = random.Random(seed)
exact = os.environ["trims"] == "exact"
with open(os.environ["base"], "rb") as f:
    base = f.read()


def connect():
    h = nbd.NBD()
    h.set_strict_mode(0)
    h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    h.connect_uri(os.environ["uri"])
    return h


h = connect()
size = h.get_size()
fresh = (base + bytes(max(0, size - len(base))))[:size]
model = bytearray(fresh)
flying = []  # (cookie, first byte, end, changes, what is to be done when it is done)
counts = {}


def place():
    count = rng.choice((1, 3, 511, 512, 4095, 4096, 4097, 8192, 65536, rng.randrange(1, 65537)))
    near = rng.choice((rng.randrange(size), rng.randrange(size), len(base), size, rng.randrange(65536)))
    begin = max(0, min(size - 1, near + rng.randrange(-count, 4096)))
    begin &= rng.choice((-1, -1, -512, -4096))
    return begin, min(size, begin + count)


def check_extents(begin, end, entries):
    at = begin
    for length, flags in zip(entries[::2], entries[1::2]):
        stop = min(end, at + length)
        if flags & (nbd.STATE_HOLE | nbd.STATE_ZERO):
            assert not any(model[at:stop]), ("data is called a hole", seed, at, stop)
        at = stop
    assert at > begin, (seed, begin, "no extent")


def issue(op, begin, end):
    """Sends a request. Returns what is to be called with its error when it has ended."""
    n = end - begin
    fua = rng.choice((0, 0, 0, nbd.CMD_FLAG_FUA))
    where = (seed, op, begin, end)

    def changed(data):
        def done(error):
            assert error == 0, (where, error)
            model[begin:end] = data

        return done

    if op == "read":
        buf = nbd.Buffer(n)

        def done(error):
            assert error == 0, (where, error)
            assert buf.to_bytearray() == model[begin:end], where

        return h.aio_pread(buf, begin), done
    if op == "write":
        data = bytearray(rng.choice((rng.randbytes(n), bytes(n))))
        return h.aio_pwrite(nbd.Buffer.from_bytearray(data), begin, flags=fua), changed(data)
    if op == "zero":
        flags = fua | rng.choice((0, nbd.CMD_FLAG_NO_HOLE))
        return h.aio_zero(n, begin, flags=flags), changed(bytes(n))
    if op == "fast":

        def done(error):
            # One that is refused has changed nothing, which reads will show.
            assert error in (0, 95), (where, error)
            if error == 0:
                model[begin:end] = bytes(n)

        flags = nbd.CMD_FLAG_FAST_ZERO | rng.choice((0, nbd.CMD_FLAG_NO_HOLE))
        return h.aio_zero(n, begin, flags=flags), done
    if op == "trim":
        return h.aio_trim(n, begin, flags=fua), changed(bytes(n) if exact else None)
    if op == "cache":
        return h.aio_cache(n, begin), lambda error: None
    entries = []

    def extent(context, offset, e, error):
        entries.extend(e)

    flags = rng.choice((0, nbd.CMD_FLAG_REQ_ONE))
    return h.aio_block_status(n, begin, extent, flags=flags), lambda error: (
        check_extents(begin, end, entries)
    )


def complete(cookie, done):
    try:
        if not h.aio_command_completed(cookie):
            return False
        error = 0
    except nbd.Error as ex:
        assert ex.errnum, ex
        error = ex.errnum
    done(error)
    return True


def reap():
    h.poll(-1)
    flying[:] = [f for f in flying if not complete(f[0], f[4])]


def drain():
    while flying:
        reap()


OPS = "read read write write zero fast status"
OPS += " trim" if exact else " inexact-trim"
OPS += " cache" if h.can_cache() else ""
OPS = OPS.split()
for i in range(int(os.environ["requests"])):
    op = rng.choice(OPS)
    begin, end = place()
    counts[op] = counts.get(op, 0) + 1
    if rng.random() < 0.002:
        begin, end = 0, size
    if op == "inexact-trim":  # a filter keeps what is not a whole block of its own
        drain()
        h.trim(end - begin, begin)
        got = h.pread(end - begin, begin)
        assert all(g in (0, m) for g, m in zip(got, model[begin:end])), (seed, begin, end)
        model[begin:end] = got
        continue
    changes = op not in ("read", "status", "cache")
    while len(flying) >= DEPTH or any(
        begin < f[2] and f[1] < end and (changes or f[3]) for f in flying
    ):
        reap()
    cookie, done = issue(op, begin, end)
    flying.append((cookie, begin, end, changes, done))
drain()


def whole(h):
    return b"".join(h.pread(min(1 << 20, size - i), i) for i in range(0, size, 1 << 20))


assert whole(h) == model, seed
assert whole(connect()) == fresh, (seed, "another client's disk")
print(size, counts)
