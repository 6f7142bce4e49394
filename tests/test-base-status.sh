#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# status-file and metrics-file say that a disk stands on a base, and how much of it is
# its client's own: what it has written, and nothing of the base.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

head -c 10M /dev/urandom >base.img
mkdir exports
echo "base=$work/base.img" >exports/based.conf
printf 'base=%s\nsize=20M\n' "$work/base.img" >exports/larger.conf
serve "$plugin" size=10M type=swap export-dir=exports status-file=run/lab.json metrics-file=run/lab.prom
must_be '[(e["name"], e["kind"]) for e in d["exports"]] == [("", "mold"), ("based", "base"), ("larger", "base")]'
talk <<'PYTHON' &
clients = [connect("based") for _ in range(3)]
for n, c in enumerate(clients):
    for i in range(10):
        c.pread(1 << 20, i << 20)
    for i in range(n * 100):
        c.pwrite(b"mine", i * 8192 + 5)
open("written", "w").close()
while not os.path.exists("enough"):
    time.sleep(0.05)
PYTHON
client=$!
at_exit "! alive $client || kill $client"
wait_for 30 test -e written
must_be '(sorted((k["export"], k["size"], k["read"]["bytes"], k["written"]["bytes"]) for k in disks) ==
    [("based", 10 << 20, 10 << 20, n * 400) for n in range(3)])'
# The filesystem may take some for its own notes of where that is.
must_be 'all(n * 409600 <= a <= n * (409600 + 65536) for n, a in enumerate(sorted(k["allocated"] for k in disks)))'
counted() { grep -qF "tmpdisk_opens_total{server=\"lab\",export=\"based\",outcome=\"overlay\"} 3" run/lab.prom; }
wait_for 30 counted || fail "not counted: $(grep opens_total run/lab.prom)"
: >enough
wait "$client"
