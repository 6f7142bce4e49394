#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What the manual says for sessions on servers of their own: without check and without
# option redispatch, a client whose server is killed does not get a fresh disk from
# another one. It is refused until its own is there again, and then finds its disk.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

# keeper N: server N, or its successor.
keeper() {
    serve_at "$1" "$plugin" "size=1${1}M" type=swap session-grace=1h \
        session-dir="$work/sessions$1"
}
for n in 1 2 3; do
    mkdir -m 700 "sessions$n"
    keeper "$n"
done
edit='s/default-server check /default-server /; /option redispatch/d' up='no check'
balance
clients <<'PYTHON' >own
c = connect("10.7.0.1", "swap/one")
c.pwrite(b"mine", 4096)
print(server(c))
PYTHON
own=$(cat own)
kill_at "$own"
clients <<<'refused("10.7.0.1", "swap/one")'
keeper "$own"
clients <<<'want(connect("10.7.0.1", "swap/one").pread(4, 4096), b"mine")'
