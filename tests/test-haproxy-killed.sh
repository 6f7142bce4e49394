#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: when a server is killed its clients get an error, connect
# again, and the others serve them. Clients of the others notice nothing. Once the
# server is there again it has the clients that it had.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

serve_three
balance
begin_clients <<'PYTHON'
addresses = ["10.7.0.%d" % i for i in range(1, 61)]
there = {a: connect(a) for a in addresses}
first = {a: server(c) for a, c in there.items()}
mine = [a for a in addresses if first[a] == 2]
others = [a for a in addresses if first[a] != 2]
for c in there.values():
    c.pwrite(b"mine", 0)

# The clients of the others work all the time.
rounds = 0
def work():
    global rounds
    try:
        while not os.path.exists("enough"):
            for a in others:
                data = b"%8d" % rounds
                there[a].pwrite(data, 4096)
                want(there[a].pread(8, 4096), data)
                want(there[a].pread(4, 0), b"mine")
            rounds += 1
    except nbd.Error as ex:
        die("a client of another server has noticed: %s" % ex)
    touch("worked")
threading.Thread(target=work, daemon=True).start()

touch("connected")
wait_for("killed")
for a in mine:
    try:
        there[a].pread(4, 0)
    except nbd.Error:
        continue
    sys.exit("%s has noticed nothing" % a)

# All at once, and no client needs a second attempt.
before, took = rounds, []
def again(a):
    begin = time.monotonic()
    c = there[a] = connect(a)
    want(c.pread(4, 0), bytes(4))
    took.append(time.monotonic() - begin)
threads = [threading.Thread(target=again, args=(a,)) for a in mine]
for t in threads:
    t.start()
for t in threads:
    t.join()
want(len(took), len(mine))
print("%d clients, served again after %.2f to %.2f s" % (len(mine), min(took), max(took)))
want({server(there[a]) for a in mine}, {1, 3})
while rounds < before + 10:
    time.sleep(0.05)
for a in others:
    want((a, server(connect(a))), (a, first[a]))
touch("served")

wait_for("back")
for a in addresses:
    want((a, server(connect(a))), (a, first[a]))
touch("enough")
wait_for("worked")
PYTHON
kill_at 2
touch killed
await served
wait_for 20 is_state 2 DOWN || fail "server 2 is not down"
serve_at 2 "$plugin" size=12M type=swap
wait_for 20 is_state 2 UP || fail "server 2 is not up again"
touch back
end_clients
cat client.log
