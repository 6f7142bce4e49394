# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Follows gluster.py: clients with sessions on two servers that share a volume, and
# what goes wrong with servers, cables and bricks, at random from one printed seed. A
# client knows what each block may have: what was last flushed, or what was written
# after that. After each round every brick must have just that.
#
# Environment: plugin, rounds, and seed.

import collections
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

CLIENTS, PATIENCE = 4, 30
SEED = int(os.environ.get("seed") or int.from_bytes(os.urandom(4), "big"))
rng = random.Random(SEED)
counts = collections.Counter()
told = collections.Counter()
waits = []


class Server:
    def __init__(self, name):
        self.name, self.sock = name, name + ".sock"
        self.start()

    def start(self):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        with open("nbdkit-%s.log" % self.name, "a") as log:
            self.process = subprocess.Popen(
                ["nbdkit", "-f", "-U", self.sock, os.environ["plugin"], "size=1M", "command=:",
                 "session-dir=%s/sessions" % self.name, "session-sync=yes", "session-grace=1h"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not os.path.exists(self.sock):
            time.sleep(0.05)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(30)


class Client:
    def __init__(self, name, server):
        self.name, self.at, self.old, self.value = name, server, None, 0
        self.rng = random.Random(rng.getrandbits(32))
        self.h = connect(server.sock, name)
        self.may = [{b""} for _ in range(BLOCKS)]
        self.may[-1] = {name.encode()}
        self.h.pwrite(block(name), SIZE - BLOCK, nbd.CMD_FLAG_FUA)

    def ask(self, h, i, value):
        """A write, or zeroes for no value, and whether it is to be kept by itself."""
        fua = self.rng.choice((0, nbd.CMD_FLAG_FUA))
        if value:
            data = nbd.Buffer.from_bytearray(block(value.decode()))
            return h.aio_pwrite(data, i * BLOCK, flags=fua), fua
        return h.aio_zero(BLOCK, i * BLOCK, flags=fua | self.rng.choice((0, nbd.CMD_FLAG_NO_HOLE))), fua

    def batch(self, patience):
        """Some writes and a flush. Whether all were done."""
        asked = []
        for i in self.rng.sample(range(BLOCKS - 1), self.rng.randrange(1, 40)):
            self.value += 1
            value = b"%d" % self.value if self.rng.random() < 0.8 else b""
            self.may[i].add(value)
            asked.append((i, value, *self.ask(self.h, i, value)))
        results = finish(self.h, [a[2] for a in asked], patience)
        for (i, value, _, fua), error in zip(asked, results):
            if error == 0 and fua:
                self.may[i] = {value}
                counts["kept by FUA"] += 1
        if any(error != 0 for error in results):
            return False
        if self.rng.random() < 0.5 and finish(self.h, [self.h.aio_flush()], patience) != [0]:
            return False
        elif self.rng.random() < 0.5:
            return True
        if finish(self.h, [self.h.aio_flush()], patience) != [0]:
            return False
        for i, value, _, _ in asked:
            self.may[i] = {value}
            counts["kept by flush"] += 1
        return True

    def write(self, enough, patience=PATIENCE):
        """Until there is enough, or the connection fails."""
        self.good = True
        while self.good and not enough.is_set():
            try:
                self.good = self.batch(patience)
            except nbd.Error:
                self.good = False

    def flush(self):
        self.h.flush()
        self.verify(self.h.pread(SIZE, 0), "its client")

    def go(self, server):
        """To a server, and leave the old connection as it is."""
        began = time.monotonic()
        self.old, self.h, self.at = self.h, None, server
        self.h = connect(server.sock, self.name, 50)
        waits.append(time.monotonic() - began)
        self.flush()

    def leave(self):
        self.h.flush()
        self.h.shutdown()

    def close(self):
        self.old = None

    def stale(self):
        """What a connection of before asks for must fail, or at least not come."""
        try:
            asked = [self.ask(self.old, i, b"stale")[0] for i in range(0, BLOCKS - 1, 8)] + \
                [self.ask(self.old, i, b"")[0] for i in range(4, BLOCKS - 1, 8)]
        except nbd.Error:   # the server has closed it
            told["closed"] += 1
            return
        for error in finish(self.old, asked, PATIENCE):
            told["no answer" if error is None else errno.errorcode.get(error, "success")] += 1

    def verify(self, disk, where):
        """What there is was written and not replaced; from now on it is what there is."""
        for i in range(BLOCKS):
            got = bytes(disk[i * BLOCK:(i + 1) * BLOCK])
            value = got.rstrip(b"." if got[0] else b"\0")
            if value not in self.may[i] or len(got) != BLOCK:
                print("seed %d: %s, by %s: block %d: got %.24r, want one of %s" % (
                    SEED, self.name, where, i, got, sorted(self.may[i])[:20]), flush=True)
                os._exit(1)
            self.may[i] = {value}


def all_of(clients, what, *arguments):
    """What each client does, at the same time; an error of one ends the test."""
    with ThreadPoolExecutor(len(clients) or 1) as pool:
        for done in [pool.submit(what, c, *arguments) for c in clients]:
            done.result()


class Writing:
    """All clients write while this lasts."""

    def __init__(self, clients, patience=PATIENCE):
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=c.write, args=(self.enough, patience)) for c in clients]
        for t in self.threads:
            t.start()

    def end(self):
        self.enough.set()
        for t in self.threads:
            t.join()


def kill(server, other, clients):
    writing = Writing(clients, 3)
    time.sleep(rng.random())
    server.end(signal.SIGKILL)
    writing.end()
    all_of(clients, Client.go, other)
    server.start()


def cut(server, other, clients):
    writing = Writing(clients, 3)
    time.sleep(rng.random())
    shell("cut_off " + server.name)
    time.sleep(rng.random() * 3)
    writing.end()
    all_of(clients, Client.go, other)
    writing = Writing(clients)
    if rng.random() < 0.5:
        all_of(clients, Client.stale)
    back = subprocess.Popen(["bash", "-c", "connected_again " + server.name])
    while back.poll() is None:
        all_of(clients, Client.stale)
    want(back.returncode, 0, "connected again")
    all_of(clients, Client.stale)
    time.sleep(1.5)     # what a server has not passed on at once it has by now
    writing.end()
    want([c.name for c in clients if not c.good], [], "failed while the other server came back")


def blink(server, other, clients):
    """For about as long as it takes to be noticed. Those who notice come back."""
    writing = Writing(clients)
    shell("cut_off " + server.name)
    time.sleep(rng.uniform(1, 9))
    shell("connected_again " + server.name)
    time.sleep(1)
    writing.end()
    for c in clients:
        if not c.good:
            counts["noticed a blink"] += 1
            c.h = None
    all_of([c for c in clients if not c.good], Client.go, rng.choice((server, other)))


def stop(server, other, clients):
    all_of(clients, Client.leave)
    server.end(signal.SIGTERM)
    all_of(clients, Client.go, other)
    server.start()


def leave(server, other, clients):
    all_of(clients, Client.leave)
    all_of(clients, Client.go, other)


def brick(server, other, clients):
    writing = Writing(clients)
    n = rng.choice((1, 2, 3))
    shell("kill_brick %d" % n)
    time.sleep(2 * rng.random())
    shell("start_bricks")
    time.sleep(rng.random())
    writing.end()
    want([c.name for c in clients if not c.good], [], "failed when brick %d was killed" % n)


def play(event, servers, clients):
    server = rng.choice([s for s in servers if any(c.at is s for c in clients)])
    other = servers[1 - servers.index(server)]
    there = [c for c in clients if c.at is server]
    elsewhere = [c for c in clients if c.at is not server]
    broken = event is not brick and rng.random() < 0.3
    print("%s of %s, %d clients%s" % (event.__name__, server.name, len(there), ", a brick is down" * broken), flush=True)
    if broken:
        shell("kill_brick %d" % rng.choice((1, 2, 3)))
        counts["with a brick down"] += 1
    writing = Writing(elsewhere)
    event(server, other, there)
    writing.end()
    want([c.name for c in elsewhere if not c.good], [], "failed at the other server")
    if broken:
        shell("start_bricks")
    writing = Writing(clients)
    time.sleep(0.5)
    writing.end()
    all_of(clients, Client.flush)
    all_of(clients, Client.close)
    shell("heal")
    verify_bricks(clients)
    counts[event.__name__] += 1


def verify_bricks(clients):
    for n in 1, 2, 3:
        disks = {}
        for name in glob.glob("bricks/%d/sessions/nbdkit-tmpdisk-sessions-*/*.disk" % n):
            with open(name, "rb") as f:
                disk = f.read()
            disks[disk[-BLOCK:].rstrip(b".").decode()] = disk
        want(sorted(disks), sorted(c.name for c in clients), "brick %d" % n)
        for c in clients:
            c.verify(disks[c.name], "brick %d" % n)


def main():
    print("seed", SEED, flush=True)
    servers = [Server("a"), Server("b")]
    clients = [Client("swap/c%d" % i, rng.choice(servers)) for i in range(CLIENTS)]
    deck = []
    for _ in range(int(os.environ["rounds"])):
        if not deck:
            deck = [kill, cut, brick, blink, stop, leave]
            rng.shuffle(deck)
        play(deck.pop(), servers, clients)
    all_of(clients, Client.leave)
    for s in servers:
        s.end(signal.SIGTERM)
        want(s.process.returncode, 0, "server " + s.name)
    for name, n in sorted(counts.items()):
        print("%-18s %d" % (name, n))
    print("old connections were told:", dict(told))
    waits.sort()
    print("%d came to another server, after %.1f s (median) to %.1f s" % (
        len(waits), waits[len(waits) // 2], waits[-1]) if waits else "nobody moved")
    want(told["success"], 0, "requests of old connections that were said to be done")


main()
