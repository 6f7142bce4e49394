#!/usr/bin/python3
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
"""Hostile NBD clients.

usage: fuzz.py SOCKET PID SIZE SECONDS SEED    run against nbdkit, process PID
       fuzz.py SOCKET replay FILE              play what a failed run has kept

Every session is a list of messages that a client sends without looking at the
answers. First come sessions that are known to be nasty, then mutations of
recorded ones, those first that have made the server answer in a new way. Next
to them well-behaved clients check their data all the time. In the end the
server must be there, and hold what it held before: see resources().

A run is bounded by SECONDS, and by SESSIONS in the environment. The workers'
choices follow from SEED; how they interleave does not, so the last sessions
are kept in fuzz-last when a run fails.
"""

import collections
import multiprocessing
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time

import nbd

WORKERS = 6
PATIENCE = 300  # seconds, for what should take none

# The protocol, as far as a client speaks it.
CAN_FIXED, CAN_NO_ZEROES = 1, 2
(OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS, OPT_INFO, OPT_GO,
 OPT_STRUCTURED_REPLY, OPT_LIST_META, OPT_SET_META) = 1, 2, 3, 5, 6, 7, 8, 9, 10
READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZERO, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16


def hello(flags=CAN_FIXED | CAN_NO_ZEROES):
    return struct.pack(">I", flags)


def option(code, data=b"", length=None):
    length = len(data) if length is None else length
    return b"IHAVEOPT" + struct.pack(">II", code, length) + data


def named(name, rest=b"", length=None):
    length = len(name) if length is None else length
    return struct.pack(">I", length) + name + rest


def go(name=b"", infos=(3,), code=OPT_GO):
    return option(code, named(name, struct.pack(">%dH" % (len(infos) + 1), len(infos), *infos)))


def meta(code, *queries, name=b"", count=None):
    count = len(queries) if count is None else count
    return option(code, named(name, struct.pack(">I", count) + b"".join(named(q) for q in queries)))


def request(command, offset=0, count=0, flags=0, data=b"", cookie=b"12345678"):
    return struct.pack(">IHH8sQI", 0x25609513, flags, command, cookie, offset, count) + data


GO = [hello(), go()]
FULL = [hello(), option(OPT_STRUCTURED_REPLY), meta(OPT_SET_META, b"base:allocation"), go()]


def requests(rng, size, n):
    """n requests, valid or beyond what is valid."""
    messages = []
    for _ in range(n):
        command = rng.choice([READ, WRITE, FLUSH, TRIM, CACHE, ZERO, BLOCK_STATUS, rng.randrange(1 << 16)])
        flags = rng.choice([0, 0, FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, rng.randrange(1 << 16)])
        edge = rng.choice([0, 0, size, size - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
        offset = (edge + rng.randrange(-4096, 4097)) % (1 << 64) if rng.random() < 0.5 else rng.randrange(size)
        count = rng.choice([0, 1, 511, 4096, rng.randrange(1 << 17), (1 << 26) + rng.randrange(-1, 2),
                            (1 << 31) - 1, 1 << 31, (1 << 32) - 1, rng.randrange(1 << 32)])
        data = b""
        if command == WRITE:
            sent = min(count, 1 << 17)
            data = rng.randbytes(16) * (sent // 16) + rng.randbytes(sent % 16)
            if rng.random() < 0.8:
                count = sent
        messages.append(request(command, offset, count, flags, data, rng.randbytes(8)))
    return messages


def recorded(rng, size):
    """Sessions to begin with: what clients do, in one piece each."""
    io = [request(WRITE, 4096, 512, FUA, b"w" * 512), request(READ, 0, 65536), request(FLUSH),
          request(TRIM, 0, 1 << 20), request(ZERO, 1 << 20, 1 << 20, NO_HOLE), request(CACHE, 0, 4096),
          request(ZERO, 0, 4096, FAST_ZERO), request(DISC)]
    status = [request(BLOCK_STATUS, 0, (1 << 32) - 1), request(BLOCK_STATUS, 0, 1 << 20, REQ_ONE),
              request(READ, 0, 65536, DF), request(DISC)]
    return [
        GO + io, FULL + status, FULL + io,
        [hello(), option(OPT_EXPORT_NAME, b"name")] + io,
        [hello(0), option(OPT_EXPORT_NAME)] + io,
        [hello(), option(OPT_LIST), option(OPT_ABORT)],
        [hello(), option(OPT_STARTTLS), go(code=OPT_INFO), go(infos=range(5)), *io],
        [hello(), option(OPT_STRUCTURED_REPLY), meta(OPT_LIST_META), meta(OPT_LIST_META, b"base:"),
         meta(OPT_SET_META, b"base:allocation", b"qemu:dirty-bitmap:x"), go(), *status],
    ] + [rng.choice([GO, FULL]) + requests(rng, size, 8) for _ in range(20)]


def nasty(rng, size):
    """Sessions with the way they end, each to be played once in a run."""
    handshake = [hello(), option(OPT_STRUCTURED_REPLY), option(OPT_LIST), meta(OPT_SET_META, b"base:allocation"),
                 go(b"name", code=OPT_INFO), go(b"name"), request(READ, 0, 4096), request(DISC)]
    stream = b"".join(handshake)
    for n in range(len(stream) + 1):
        yield [stream[:n]], "close"
        yield [stream[:n]], "end"
    yield [hello(0xffffffff)], "end"
    yield [hello(0), go()], "end"
    yield [b"\0" * 70000], "end"
    for length in 0, 1, 4096, 1 << 20:
        yield [rng.randbytes(length)], "end"
        yield GO + [rng.randbytes(length)], "end"
        yield FULL + [request(READ, 0, 1), rng.randbytes(length)], "close"
    # Floods of options, and options that lie about their length.
    for flood in (option(OPT_LIST), option(77), option(OPT_STRUCTURED_REPLY), go(code=OPT_INFO), go(b"x" * 4096),
                  meta(OPT_SET_META, *[b"base:allocation"] * 30), meta(OPT_LIST_META, *[b"a:" * 500] * 20)):
        yield [hello()] + [flood] * 3000 + [go()], "end"
        yield [hello()] + [flood] * 20 + [go(), request(READ, 0, 512), request(DISC)], "end"
    for length in 0, 1, 5, 4096, 4097, 1 << 16, (1 << 16) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1:
        for code in 0, *range(1, 12), (1 << 32) - 1:
            yield [hello(), option(code, rng.randbytes(min(length, 70000)), length), go()], "end"
        yield [hello(), option(OPT_GO, named(b"", b"\0\0", length))], "end"
        yield [hello(), meta(OPT_SET_META, b"base:allocation", count=length), go()], "end"
        yield [hello(), option(OPT_EXPORT_NAME, b"\xff\0\xfe" * (min(length, 9000) // 3))], "end"
    # One request each: every command, at and beyond every limit.
    for command in *range(9), 0xffff:
        for offset in 0, size - 1, size, (1 << 63) - 1, 1 << 63, (1 << 64) - 1:
            batch = [request(command, offset, count, flags)
                     for count in (0, 1, 1 << 25, (1 << 26) + 1, 1 << 31, (1 << 32) - 1)
                     for flags in (0, 0xffff) if command != WRITE]
            yield FULL + (batch or [request(WRITE, offset, (1 << 26) + 1)]), "end"
            yield GO + (batch or [request(WRITE, offset, (1 << 32) - 1, 0, b"w" * 70000)]), "end"
    yield FULL + [request(BLOCK_STATUS, offset, (1 << 32) - 1) for offset in range(0, size, 1 << 28)], "end"
    # Many requests in flight for the same bytes.
    for messages in range(10):
        yield FULL + [request(command, rng.randrange(8192), count, 0, b"o" * count if command == WRITE else b"")
                      for command in rng.choices([READ, WRITE, TRIM, ZERO, CACHE, BLOCK_STATUS], k=200)
                      for count in [rng.randrange(1, 65536)]], "end"
    # Queued reads, and gone.
    for _ in range(10):
        yield GO + [request(READ, i << 21 & size // 2, 1 << 21) for i in range(32)], "leave"
        yield GO + [request(READ, 0, 1 << 25)] * 4, "leave"
    yield [go()] * 10, "trickle"
    yield FULL + requests(rng, size, 3), "trickle"


INTERESTING = [0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x100, 0x1000, 0x7fff, 0xffff, 1 << 16, (1 << 26) + 1,
               0x7fffffff, 1 << 31, (1 << 32) - 1]


def mutate(rng, session, corpus):
    messages = [bytearray(m) for m in session]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        how = rng.randrange(9)
        i = rng.randrange(len(messages)) if messages else 0
        if not messages or how == 0:
            messages.insert(i, bytearray(rng.randbytes(rng.choice([1, 4, 28, 300]))))
            continue
        m = messages[i]
        at = rng.randrange(len(m)) if m else 0
        if how == 1 and m:
            m[at] ^= 1 << rng.randrange(8)
        elif how == 2:
            width = rng.choice("BHIQ")
            at -= at % struct.calcsize(width)
            field = struct.pack(">" + width, rng.choice(INTERESTING) % (1 << 8 * struct.calcsize(width)))
            m[at:at + len(field)] = field
        elif how == 3:
            del m[at:at + rng.choice([1, 2, 8, len(m)])]
        elif how == 4:
            m[at:at] = rng.randbytes(rng.choice([1, 2, 8, 100]))
        elif how == 5:
            messages[i:i] = [m] * rng.choice([1, 2, 40])
        elif how == 6:
            del messages[i]
        elif how == 7:
            j = rng.randrange(len(messages))
            messages[i], messages[j] = messages[j], m
        else:
            other = rng.choice(corpus)
            messages[i:] = [bytearray(x) for x in other[rng.randrange(len(other)):]] if other else []
    # Not aliases of each other, and not without end.
    return [bytes(m) for m in messages[:5000]]


ANSWERS = re.compile(rb"\0\x03\xe8\x89\x04\x55\x65\xa9(........)|\x67\x44\x66\x98(....)|\x66\x8e\x33\xef(..)..", re.DOTALL)


def play(path, session, ending, rng):
    """One session. Returns what kinds of answers came and how many bytes."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(path)
    out = memoryview(b"".join(session))
    start, received = b"", 0
    deadline = time.monotonic() + PATIENCE
    try:
        if not out:
            s.shutdown(socket.SHUT_WR)
        while True:
            readable, writable, _ = select.select(
                [s] if ending != "leave" else [], [s] if out else [], [],
                0.2 if ending == "leave" else PATIENCE)
            if writable:
                piece = out[:rng.randrange(1, 8)] if ending == "trickle" else out[:1 << 16]
                out = out[s.send(piece, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL):]
                if not out and ending in ("end", "trickle"):
                    s.shutdown(socket.SHUT_WR)
            if readable:
                data = s.recv(1 << 18)
                if not data:
                    break
                received += len(data)
                if len(start) < 1 << 16:
                    start += data
            if ending == "close" and not out or ending == "leave" and not writable:
                break  # those who leave do so when the server is stuck in sending
            if not readable and not writable or time.monotonic() > deadline:
                raise TimeoutError(f"the server neither reads nor hangs up: {ending}, {len(out)} bytes left")
    except BlockingIOError:
        pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        s.close()
    return frozenset(ANSWERS.findall(start)), received


class Fuzzer:
    """What the workers share; lock guards all of it but stop."""

    def __init__(self, path, size, seconds, sessions, seed):
        self.path, self.size, self.seed = path, size, seed
        self.deadline, self.sessions = time.monotonic() + seconds, sessions
        self.lock = threading.Lock()
        self.stop = threading.Event()
        rng = random.Random(f"{seed}")
        self.nasty = iter(list(nasty(rng, size)))
        self.corpus = recorded(rng, size)
        self.seen = set()
        self.counts = collections.Counter()
        self.last = collections.deque(maxlen=4 * WORKERS)
        self.error = None

    def choose(self, rng):
        with self.lock:
            for session, ending in self.nasty:
                return session, ending, "nasty"
            session = rng.choice(self.corpus[-100:] if rng.random() < 0.5 else self.corpus)
            corpus = list(self.corpus)
        return mutate(rng, session, corpus), rng.choice(["end", "end", "end", "close", "leave", "trickle"]), "mutated"

    def work(self, number):
        rng = random.Random(f"{self.seed}-{number}")
        try:
            while not self.stop.is_set():
                session, ending, kind = self.choose(rng)
                if ending == "trickle" and sum(map(len, session)) > 5000:
                    ending = "end"
                with self.lock:
                    self.last.append((ending, session))
                answers, received = play(self.path, session, ending, rng)
                with self.lock:
                    self.counts[kind] += 1
                    self.counts["ending: " + ending] += 1
                    self.counts["bytes received"] += received
                    if kind == "mutated" and answers not in self.seen:
                        self.seen.add(answers)
                        self.corpus.append(session)
                    done = self.counts["nasty"] + self.counts["mutated"] >= self.sessions
                if done or kind == "mutated" and time.monotonic() > self.deadline:
                    return
        except Exception as ex:  # one is enough
            with self.lock:
                if not self.error:
                    self.error = f"worker {number}: {type(ex).__name__}: {ex}"
                    self.last.append((ending, session))
            self.stop.set()

    def run(self):
        workers = [threading.Thread(target=self.work, args=(n,)) for n in range(WORKERS)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return self.error


def well_behaved(uri, seed, stop, count, comes_and_goes):
    """A client that checks all it reads against a model, on fresh disks of zeroes."""
    rng = random.Random(seed)
    space = 4 << 20
    h, model, left = None, None, 0
    while not stop.is_set():
        try:
            if h is None:
                h = nbd.NBD()
                h.connect_uri(uri)
                model, left = bytearray(space), 300
            offset = rng.randrange(space)
            n = min(rng.randrange(1, 65536), space - offset)
            if rng.random() < 0.5:
                data = rng.randbytes(16) * (n // 16 + 1)
                try:
                    h.pwrite(data[:n], offset)
                    model[offset:offset + n] = data[:n]
                except nbd.Error as ex:
                    if ex.errno != "ENOSPC":
                        raise
                    model[offset:offset + n] = h.pread(n, offset)
            elif rng.random() < 0.1:
                h.trim(n, offset)
                model[offset:offset + n] = h.pread(n, offset)
            elif bytes(h.pread(n, offset)) != model[offset:offset + n]:
                raise SystemExit(f"other data than written, {n} bytes at {offset}")
            count.value += 1
            left -= 1
            if left == 0 and comes_and_goes:
                h.shutdown()
                h = None
            time.sleep(0.002)
        except nbd.Error as ex:
            if h is not None and model is not None and left != 0:
                raise SystemExit(f"a well-behaved client: {ex}")
            h = None  # no room for another disk just now
            time.sleep(0.05)
    sys.exit(0)


def resources(pid):
    """What the server holds: descriptors but for disks, disks, threads, KiB."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    disks = sum(link.endswith(" (deleted)") for link in links)
    status = open(f"/proc/{pid}/status").read()
    field = lambda name: int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1])
    return {"descriptors": len(links) - disks, "disks": disks, "threads": field("Threads"), "KiB": field("VmRSS")}


def settled(pid, enough):
    deadline = time.monotonic() + PATIENCE
    while True:
        now = resources(pid)
        if enough(now) or time.monotonic() > deadline:
            return now
        time.sleep(0.1)


def idle(pid):
    """What the server holds without clients: when it has not changed for a second."""
    before, since = None, 0.0
    def enough(now):
        nonlocal before, since
        now = {k: v for k, v in now.items() if k != "KiB"}
        if now != before:
            before, since = now, time.monotonic()
        return time.monotonic() - since > 1
    return settled(pid, enough)


def give_up(fuzzer, problems):
    with open("fuzz-last", "w") as f:
        for ending, session in fuzzer.last:
            print(ending, *(m.hex() for m in session), file=f)
    print("the last sessions are in fuzz-last")
    raise SystemExit("; ".join(problems))


def main():
    path, pid, size, seconds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    sessions = int(os.environ.get("SESSIONS", 10**9))
    print(f"seed {seed}, {seconds:g} seconds")
    uri = f"nbd+unix:///?socket={path}"

    # What the runtime and the C library keep for as much work as is to come.
    warm = Fuzzer(path, size, 0, 1500, f"{seed}-warm")
    error = warm.run()
    if error:
        give_up(warm, [error])
    before = idle(pid)
    print("before:", before)

    stop = multiprocessing.Event()
    clients = []
    for n in range(2):
        count = multiprocessing.Value("q", 0)
        p = multiprocessing.Process(target=well_behaved, args=(uri, f"{seed}-{n}", stop, count, n == 1))
        p.start()
        clients.append((p, count))
    fuzzer = Fuzzer(path, size, seconds, sessions, seed)
    error = fuzzer.run()
    deadline = time.monotonic() + PATIENCE
    while any(p.is_alive() and count.value < 20 for p, count in clients) and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    problems = [error] if error else []
    for p, count in clients:
        p.join(PATIENCE)
        if p.exitcode != 0:
            problems.append(f"a well-behaved client ended with status {p.exitcode}")
            p.kill()
        if count.value < 20:
            problems.append(f"a well-behaved client got {count.value} requests through")
    print(f"{sum(c.value for _, c in clients)} requests of well-behaved clients;",
          ", ".join(f"{k}: {v}" for k, v in sorted(fuzzer.counts.items())) + ";",
          f"{len(fuzzer.seen)} kinds of answers")
    try:
        after = settled(pid, lambda now: now["descriptors"] <= before["descriptors"] and now["disks"] <= 1
                        and now["threads"] <= before["threads"] + 4)
        print("after: ", after)
        if after["descriptors"] > before["descriptors"]:
            problems.append("descriptors are left")
        if after["disks"] > 1:  # an untouched one may wait for the next client
            problems.append("disks are left")
        # The Go runtime may start a few more threads at any time.
        if after["threads"] > before["threads"] + 4:
            problems.append("threads are left")
        # A page or two kept of each session would be more.
        if after["KiB"] > before["KiB"] + 16384:
            problems.append("memory grows")
    except FileNotFoundError:
        problems.append("the server is gone")
    if problems:
        give_up(fuzzer, problems)


def replay():
    rng = random.Random(0)
    for line in open(sys.argv[3]):
        ending, *session = line.split()
        print(ending, *play(sys.argv[1], [bytes.fromhex(m) for m in session], ending, rng))


if __name__ == "__main__":
    replay() if sys.argv[2] == "replay" else main()
