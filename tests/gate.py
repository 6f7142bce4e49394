# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The client of test-nbdkit-gate.sh; see there and testplugin/gate.

import os
import re
import signal
import time

READ, WRITE = 1 << 32, 1 << 33
COUNT = READ - 1
BINDFS = int(os.environ["bindfs"])

signal.alarm(600)  # a request that should not wait for bindfs, and does


def connect(export):
    h = nbd.NBD()
    h.connect_uri("nbd+unix:///%s?socket=%s" % (export, os.environ["sock"]))
    return h


def word():
    return int.from_bytes(control.pread(8, 0), "little")


def gate(bits):
    control.pwrite(bits.to_bytes(8, "little"), 0)


def on_disk(offset):
    with open("below/file", "rb") as f:
        f.seek(offset)
        return f.read(1)


def check(what, got, want):
    if got != want:
        raise SystemExit("%s: got %r, want %r" % (what, got, want))


def check_served(h, what, read, write):
    """read and write say whether these go past Go."""
    check(what + ": a read", h.pread(2, 0), b"ff" if read else b"AA")
    h.pwrite(b"w", 512)
    check(what + ": a write", on_disk(512), b"w" if write else b"f")
    h.pwrite(b"f", 512, nbd.CMD_FLAG_FUA)
    check(what + ": a write with a flag", on_disk(512), b"w" if write else b"f")
    with open("below/file", "r+b") as f:
        f.seek(512)
        f.write(b"f")
    check(what + ": the count", word() & COUNT, 0)


def wait_until(what, condition):
    while not condition():
        time.sleep(0.01)
    print(what)


def bindfs_is(state):
    with open("/proc/%d/status" % BINDFS) as f:
        return re.search(r"^State:\s*%s" % state, f.read(), re.M)


control, a, b = connect("control"), connect("a"), connect("b")
gate(READ | WRITE)
for h in a, b:
    check("the first read", h.pread(2, 0), b"AA")
for bits in 0, READ, READ | WRITE, WRITE, 0, READ | WRITE:
    gate(bits)
    check_served(a, "bits %#x" % bits, bits & READ, bits & WRITE)

# The file ends before the disk. The count is given back before Go is called.
gate(READ | WRITE)
check("a read that fails", a.pread(2, 65536), b"AA")

# A write that began before the bits were cleared.
os.kill(BINDFS, signal.SIGSTOP)
wait_until("bindfs has stopped", lambda: bindfs_is("T"))
held = a.aio_pwrite(b"h", 1024)
wait_until("the write is in progress", lambda: word() == READ | WRITE | 1)
gate(0)
for _ in range(10):
    check("a read of another connection", b.pread(2, 0), b"BB")
    b.pwrite(b"w", 512)
check("the word", word(), 1)
a.poll(0)
check("whether the write has ended", a.aio_command_completed(held), False)
os.kill(BINDFS, signal.SIGCONT)
while not a.aio_command_completed(held):
    a.poll(-1)
check("the word", word(), 0)
check("the write in progress", on_disk(1024), b"h")
check("a later write", on_disk(512), b"f")
check_served(a, "afterwards", False, False)

ungated, panicked = connect("ungated"), connect("panic")
for h in ungated, panicked:
    check("the first read", h.pread(2, 0), b"AA")
check_served(ungated, "no gate", True, True)
check_served(panicked, "DirectGate panics", False, False)
for h in control, a, b, ungated, panicked:
    h.shutdown()
