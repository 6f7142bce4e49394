#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: HAProxy takes it without a warning. Its health check tells a
# server that is there from one that is not, costs no disk, and is not logged.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

haproxy -c -f "$top_srcdir/examples/haproxy.cfg" >config.log 2>&1 || fail "an error"
! grep -E 'WARNING|ALERT' config.log || fail "a warning"

serve_at 1 -v "$plugin" size=11M type=swap
# checks: how many there were, whichever version of nbdkit it is.
checks() {
    grep -c ': preconnect' "$log" || :
}
many_checks() {
    [ "$(checks)" -ge 4 ]
}
balance
is_state 1 UP || fail "server 1 is not up"
for n in 2 3; do
    wait_for 20 is_state "$n" DOWN || fail "server $n is not down"
done
wait_for 20 many_checks || fail "there were $(checks) checks"
! grep ': open readonly=' "$log" || fail "a check has opened a disk"
! grep -v 'commands are contained only' "$log" | grep -i error || fail "a check is an error"

# So that the pattern above is right:
clients <<<'want(server(connect("10.7.0.1")), 1)'
has "$log" ': open readonly='
