#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg with sessions on servers of their own: a client that connects
# again finds its disk at its server, whatever its address is. If another server takes
# over, the client gets a fresh disk there, as the manual warns.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

for n in 1 2 3; do
    mkdir -m 700 "sessions$n"
    serve_at "$n" "$plugin" "size=1${n}M" type=swap session-grace=1h session-key=name \
        session-dir="$work/sessions$n"
done
balance
clients <<'PYTHON'
by_server = {}
for i in range(1, 61):
    a = "10.7.0.%d" % i
    by_server.setdefault(server(connect(a)), []).append(a)
one, two = by_server[1][:2]
c = connect(one, "swap/one")
c.pwrite(b"mine", 4096)
c.shutdown()
want(connect(one, "swap/one").pread(4, 4096), b"mine")
want(connect(two, "swap/one").pread(4, 4096), b"mine")
want(connect(by_server[2][0], "swap/one").pread(4, 4096), bytes(4))
open("address", "w").write(one)
PYTHON
kill_at 1
clients <<<'want(connect(open("address").read(), "swap/one").pread(4, 4096), bytes(4))'
