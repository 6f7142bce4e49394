#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: a client that is one too many for its server (maxconn) is
# turned away, and the others go on. nbdkit's limit filter turns the check away as
# well, so it must let in one more. What the manual says about limits for one address
# is true.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

requires filter:limit
serve_at 1 --filter=limit "$plugin" size=11M type=swap limit=3
edit='s/maxconn 2500/maxconn 2/
/^listen/a stick-table type ipv6 size 100k expire 1h store conn_cur
/^listen/a tcp-request connection track-sc0 src
/^listen/a tcp-request connection reject if { sc0_conn_cur gt 1 }
/^listen/a tcp-request connection reject unless { src 10.7.0.0/24 }'
balance
for n in 2 3; do
    wait_for 20 is_state "$n" DOWN || fail "server $n is not down"
done
# failed_checks prints how many checks of server 1 have failed.
failed_checks() {
    runtime 'show stat' | awk -F, '$2 == "disks1" { print $22 }'
}
clients <<'PYTHON'
refused("10.7.1.1")                 # another network
one = connect("10.7.0.1")
refused("10.7.0.1")                 # a second one from there
two = connect("10.7.0.2")
refused("10.7.0.3")                 # one too many
time.sleep(7)                       # three checks, which would be enough to be down
for c in one, two:
    c.pwrite(b"here", 0)
    want(c.pread(4, 0), b"here")
PYTHON
[ "$(failed_checks)" -eq 0 ] || fail "$(failed_checks) checks have failed"
