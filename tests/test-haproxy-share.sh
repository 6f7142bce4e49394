#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg: 300 clients with addresses in a row are shared out among
# three servers, and each comes back to its own.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

serve_three
balance
clients <<'PYTHON'
import collections
addresses = ["10.7.%d.%d" % (i // 200, 1 + i % 200) for i in range(300)]
there = {a: connect(a) for a in addresses}
for i, c in enumerate(there.values()):
    c.pwrite(b"%8d" % i, 4096)
for i, c in enumerate(there.values()):
    want(c.pread(8, 4096), b"%8d" % i)
first = {a: server(c) for a, c in there.items()}
shares = collections.Counter(first.values())
print("clients of server 1, 2, 3:", *(shares[n] for n in (1, 2, 3)))
for n in (1, 2, 3):
    if not 0.2 * 300 <= shares[n] <= 0.5 * 300:
        sys.exit("server %d has %d of 300 clients" % (n, shares[n]))

# Whether the old connection is still there makes no difference.
for i, a in enumerate(reversed(addresses)):
    if i % 2:
        there[a].shutdown()
    c = connect(a)
    want((a, server(c)), (a, first[a]))
    want(c.pread(8, 4096), bytes(8))
PYTHON
