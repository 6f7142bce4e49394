#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client whose network is down for 10 s connects again, and finds all that it
# was told is written.

# shellcheck source=netns.sh
. "$(dirname "$0")/netns.sh"

sessions_stay
two_machines
serve_tcp -v "$plugin" size=10M type=swap session-grace=1h client-timeout=4s
inside "$ns_client" nbdsh -c - >client.log 2>&1 <<'PYTHON' &
import os, sys, time

PLACES = 1000

def connect():
    while True:
        c = nbd.NBD()
        c.set_export_name("swap/one")
        try:
            c.connect_tcp("10.9.8.1", "10809")
            return c
        except nbd.Error:
            time.sleep(0.2)

def write(c, data, at):
    """Whether that was answered within four seconds."""
    try:
        cookie = c.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), at)
        end = time.monotonic() + 4
        while not c.aio_command_completed(cookie):
            if time.monotonic() > end:
                return False
            c.poll(100)
        return True
    except nbd.Error:
        return False

c = connect()
written, connections = {}, 1
n = 0
while not os.path.exists("enough"):
    data = b"%8d" % n
    while not write(c, data, n % PLACES * 4096):
        c = connect()
        connections += 1
        open("back", "w").close()
    written[n % PLACES] = data
    n += 1
    if n % 100 == 0:
        open("ready", "w").close()
for place, data in written.items():
    got = c.pread(8, place * 4096)
    if got != data:
        sys.exit("block %d: got %r, want %r" % (place, got, data))
if n < 200 or connections < 2:
    sys.exit("%d writes over %d connections" % (n, connections))
print(n, "writes over", connections, "connections")
PYTHON
client=$!
at_exit "kill $client 2>/dev/null || :"
wait_for 20 test -e ready || fail "the client did not connect: $(cat client.log)"
link_down
sleep 1
rm -f back # a busy machine may have been that slow before
sleep 11
[ ! -e back ] || fail "the link was not down"
rm ready
ip -n "$ns_client" link set cable up
wait_for 60 test -e back || fail "the client did not come back: $(cat client.log)"
wait_for 20 test -e ready || fail "it does not go on: $(cat client.log)"
: >enough
wait "$client" || fail "$(tail -n 3 client.log)"
cat client.log
has "$log" 'resumed'
