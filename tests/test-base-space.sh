#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A disk over a base, or over a template where blocks cannot be shared, takes next to no
# space of TMPDIR until its client writes. Then it takes what was written.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
small_tmpdir 200M
mkdir -m 700 templates
head -c 100M /dev/urandom >base.img
# takes AT-MOST COUNT ARGUMENTS...: 10 clients that wrote COUNT MiB take AT-MOST KiB each.
takes() {
    at_most=$1 count=$2 uri=$uri nbdsh -c - <<'PYTHON'
import os, subprocess

def free():
    subprocess.run(["sync", "-f", os.environ["TMPDIR"]], check=True)
    s = os.statvfs(os.environ["TMPDIR"])
    return s.f_bfree * s.f_frsize

before, clients = free(), []
for n in range(10):
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    for i in range(0, h.get_size(), 1 << 20):
        h.pread(1 << 20, i)
    for i in range(int(os.environ["count"])):
        h.pwrite(os.urandom(1 << 20), (9 * i + n << 20) + 5)
    clients.append(h)
took = (before - free()) / 10240
print("%.1f KiB each" % took)
assert took <= int(os.environ["at_most"]), took
assert took >= 1024 * int(os.environ["count"]), took
PYTHON
}
serve "$plugin" base=base.img
takes 64 0
takes $((64 + 3 * 1032)) 3
stop_server "$server"
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=0 template-dir=templates image="$work/base.img" command='cat "$image" >"$disk"'
nbdinfo --size "$uri"
nbdinfo --size "$uri"
takes 64 0
takes $((64 + 3 * 1032)) 3
has "$log" 'hit, shared'
