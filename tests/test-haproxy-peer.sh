#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Behind a balancer all clients have its address, as the manual says: for the status,
# for client-disks, for the ip filter, and for session-key=peer, where the name alone
# is then the key.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

sessions_stay
requires filter:ip
serve_at 1 "$plugin" size=11M type=swap session-grace=1h session-key=peer \
    client-disks=3 status-file="$work/status.json"
balance
for n in 2 3; do
    wait_for 20 is_state "$n" DOWN || fail "server $n is not down"
done

# A server that lets in the clients' network, and not the balancer. (nbdkit 1.32.5
# takes no IP address: "cannot parse address".)
if nbdkit -U - --filter=ip null allow=10.7.0.0/16 --run : 2>ip-filter.log; then
    serve_at 2 --filter=ip "$plugin" size=12M type=swap allow=10.7.0.0/16 deny=all
    checked() {
        runtime 'show stat' | grep -q '^nbd,disks2,.*,L[67][A-Z]*,'
    }
    wait_for 20 checked || fail "server 2 was not checked: $(runtime 'show stat')"
    is_state 2 DOWN || fail "the ip filter lets the balancer in"
fi
clients <<'PYTHON'
import json
c = connect("10.7.0.1", "swap/one")
c.pwrite(b"mine", 4096)
other = connect("10.7.0.2", "swap/one")     # somebody else, who knows the name
want(other.pread(4, 4096), b"mine")
other.pwrite(b"hers", 4096)
try:
    c.pread(4, 4096)
except nbd.Error as ex:
    want(ex.errnum, errno.ESHUTDOWN)
else:
    sys.exit("the first client was not fenced")

third, fourth = connect("10.7.0.3"), connect("10.7.0.4")
refused("10.7.0.5")                         # that would be the balancer's fourth
for i in range(3000):
    disks = json.load(open("status.json"))["disks"]
    if len(disks) == 3:
        break
    time.sleep(0.05)
want([d["peer"] for d in disks], ["address 192.0.2.1"] * 3)
PYTHON
