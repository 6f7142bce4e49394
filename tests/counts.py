# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The client of test-nbdkit-counts.sh; see there and testplugin/counts.

import os
import random
import signal
import struct
import time

OPEN, SHUT, IN_FLIGHT = 1 << 32, 0, (1 << 32) - 1
DEPTH = 16

signal.alarm(600)  # a request or a client that does not end


def connect(export, sock="sock"):
    h = nbd.NBD()
    h.connect_uri("nbd+unix:///%s?socket=%s" % (export, os.environ[sock]))
    return h


def begin(export, sock="sock"):
    """A connection whose next request may go past Go."""
    h = connect(export, sock)
    h.pread(1, 0)
    return h


class Counts:
    def __init__(self, export, sock="sock"):
        h = connect("counts/" + export, sock)
        words = struct.unpack("<32Q", h.pread(256, 0))
        h.shutdown()
        self.direct = words[:4]  # reads, their bytes, writes, their bytes
        self.sum, self.times = words[4], words[5:29]
        self.go = words[29:31]  # reads, writes
        self.closes = words[31]


def gate(control, word):
    control.pwrite(word.to_bytes(8, "little"), 0)


def in_flight(control):
    return int.from_bytes(control.pread(8, 0), "little") & IN_FLIGHT


def wait_until(what, condition):
    while not condition():
        time.sleep(0.01)
    print(what)


def check(what, got, want):
    if got != want:
        raise SystemExit("%s: got %r, want %r" % (what, got, want))


def finish(h, cookie):
    while not h.aio_command_completed(cookie):
        h.poll(-1)


def mix(h, rng, more):
    """Keep DEPTH requests in flight while more() is true. Returns how many of
    each kind there were, like Counts.direct."""
    counts = [0, 0, 0, 0]
    cookies = []
    while more():
        length = rng.randrange(1, 9000)
        offset = rng.randrange(h.get_size() - length)
        kind = rng.choice((0, 2))
        counts[kind] += 1
        counts[kind + 1] += length
        if kind == 0:
            cookies.append(h.aio_pread(nbd.Buffer(length), offset))
        else:
            cookies.append(h.aio_pwrite(bytes(length), offset))
        if len(cookies) == DEPTH:
            finish(h, cookies.pop(0))
    for cookie in cookies:
        finish(h, cookie)
    return tuple(counts)


def clients(export, number, more):
    """Start processes that do what mix does, each with a connection. Returns a
    function that waits for them and returns their sums."""
    pipes = []
    for seed in range(number):
        r, w = os.pipe()
        if os.fork() == 0:
            h = begin(export)
            counts = mix(h, random.Random(seed), more(h))
            h.shutdown()
            os.write(w, struct.pack("<4Q", *counts))
            os._exit(0)
        os.close(w)
        pipes.append(os.fdopen(r, "rb"))

    def join():
        counts = []
        for pipe in pipes:
            text = pipe.read()
            check("the length of a client's answer", len(text), 32)
            counts.append(struct.unpack("<4Q", text))
            pipe.close()
            check("a client's exit status", os.wait()[1], 0)
        return tuple(map(sum, zip(*counts)))

    return join


def times(n):
    """For mix: true n times."""
    left = iter(range(n))
    return lambda: next(left, None) is not None


control = connect("gate")
gate(control, OPEN)

# One after the other: the first is timed, and each that follows a 256th read or
# a 256th write.
a, b = connect("a"), connect("b")
a.pread(4096, 0)
check("the first read is Go's", (Counts("a").direct, Counts("a").go), ((0, 0, 0, 0), (1, 0)))
for i in range(513):
    a.pread(100 + i % 7, i)
got = Counts("a")
check("513 reads", got.direct, (513, sum(100 + i % 7 for i in range(513)), 0, 0))
check("how many of them were timed", sum(got.times), 3)
for i in range(257):
    a.pwrite(bytes(1 + i % 5), i)
got = Counts("a")
check("257 writes", got.direct[2:], (257, sum(1 + i % 5 for i in range(257))))
check("how many of all were timed", sum(got.times), 4)
before = got.direct

# What Go gets is not counted, nor what fails; and another export is another one.
a.pwrite(b"forced", 0, nbd.CMD_FLAG_FUA)
os.truncate("file", 1 << 19)
for length, offset in (1, 1 << 19), (4096, (1 << 19) - 100):
    try:
        a.pread(length, offset)
    except nbd.Error as ex:
        check("a read beyond the end", ex.errno, "EIO")
    else:
        raise SystemExit("read beyond the end of the file")
os.truncate("file", 1 << 20)
check("with a flag, or failed", (Counts("a").direct, Counts("a").go), (before, (3, 1)))
check("the other export", (Counts("b").direct, sum(Counts("b").times)), ((0, 0, 0, 0), 0))
b.pread(7, 0)
b.pread(7, 0)
b.pwrite(b"12345", 0)
check("the other export", Counts("b").direct, (1, 7, 1, 5))
check("this one", Counts("a").direct, before)

# Many at the same time, and all in one place.
want = clients("many", 8, lambda h: times(4000))()
wait_until("all are closed", lambda: Counts("many").closes == 8)
got = Counts("many")
check("eight clients", got.direct, want)
check("what Go got", got.go, (8, 0))
if not 1 <= sum(got.times) <= 1 + got.direct[0] // 256 + got.direct[2] // 256:
    raise SystemExit("%d times of %r" % (sum(got.times), got.direct))
if got.sum == 0:
    raise SystemExit("the times have no sum")

# A gate that opens and shuts: each request is Go's or is counted. Once none is
# in progress past a shut gate, the numbers stay.
r, w = os.pipe()
os.set_blocking(r, False)


def until_told(h):
    def more():
        try:
            return os.read(r, 1) == b"go on"
        except BlockingIOError:
            return True

    os.close(w)
    return more


join = clients("gated", 4, until_told)
while min(Counts("gated").go + Counts("gated").direct) < 100:
    gate(control, OPEN)
    time.sleep(0.01)
    gate(control, SHUT)
    while in_flight(control) != 0:
        pass
    still = Counts("gated").direct
    time.sleep(0.01)
    check("the numbers behind a shut gate", Counts("gated").direct, still)
os.close(w)
want = join()
got = Counts("gated")
check("reads, all", got.direct[0] + got.go[0], want[0] + 4)  # and the first ones
check("writes, all", got.direct[2] + got.go[1], want[2])
gate(control, OPEN)

# The counts outlive their connection.
a.shutdown()
wait_until("a is closed", lambda: Counts("a").closes == 1)
check("after Close", Counts("a").direct, before)

# Without counts all is served as well, and if DirectCounts panics, by Go.
for export, go in ("nil", (1, 0)), ("panic", (3, 1)):
    h = begin(export)
    h.pwrite(b"abcd", 0)
    check(export, h.pread(3, 0) + h.pread(3, 1), b"abcbcd")
    check(export, (Counts(export).direct, Counts(export).go), ((0, 0, 0, 0), go))
    h.shutdown()
b.shutdown()
control.shutdown()

# A time is that of the file. The first request is one that is timed.
bindfs = int(os.environ["bindfs"])
control = connect("gate", "slow")
gate(control, OPEN)
h = begin("", "slow")
os.kill(bindfs, signal.SIGSTOP)
held = h.aio_pwrite(b"held", 0)
wait_until("the write is in progress", lambda: in_flight(control) == 1)
time.sleep(0.2)
os.kill(bindfs, signal.SIGCONT)
finish(h, held)
got = Counts("", "slow")
check("the write", got.direct, (0, 0, 1, 4))
check("times above 2^17 microseconds, and others", (sum(got.times[18:]), sum(got.times[:18])), (1, 0))
if not 200e6 <= got.sum <= 600e9:  # from the sleep to the alarm
    raise SystemExit("the times' sum: %d ns" % got.sum)
h.shutdown()
control.shutdown()
