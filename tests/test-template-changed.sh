#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When the file that a parameter names changes, the next clients all get its new
# content, though spare disks and returned ones have the old one.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

made() {
    [ "$(grep -c 'disk made in' "$log")" -ge "$1" ]
}

printf %s old00 >base
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=0 spare-disks=3 template-dir="$templates" image="$work/base" \
    command='cp "$image" "$disk"'
wait_for 30 made 3 || fail "no spare disks"
# Two clients hold disks that they have not touched: one returns its disk
# before the change, the other after it.
log=$log nbdsh -c - <<PYTHON
import os, time
def connect():
    h = nbd.NBD()
    h.connect_uri("$uri")
    return h
before, after = connect(), connect()
while open(os.environ["log"]).read().count("disk made in") < 5:
    time.sleep(0.05)
before.shutdown()
while "disk returned untouched" not in open(os.environ["log"]).read():
    time.sleep(0.05)
with open("base", "w") as f:
    f.write("newer")
after.shutdown()
clients = [connect() for _ in range(9)]
got = [bytes(h.pread(5, 0)) for h in clients]
assert got == [b"newer"] * 9, got
PYTHON
has "$log" "it is out of date"
