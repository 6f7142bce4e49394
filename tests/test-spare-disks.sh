#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# spare-disks=2: two disks are made before anybody comes and again after they
# were taken, each by its own run of the command. A disk that was only looked
# at is handed out again even if no other can be made, one of which a byte was
# read never is.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

runs=$PWD/runs
at_least() { [ "$(wc -l <"$runs")" -ge "$1" ]; }

: >"$runs"
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M spare-disks=2 runs="$runs" go="$PWD/go" \
    command='echo run >>"$runs"
        [ "$(wc -l <"$runs")" -le 2 ] || until [ -e "$go" ]; do sleep 0.05; done
        dd if=/proc/sys/kernel/random/uuid of="$disk" conv=notrunc status=none'
wait_for 30 at_least 2

# NBD_OPT_INFO, NBD_OPT_GO and no request, five times over.
for _ in 1 2 3 4 5; do
    nbdinfo --no-content "$uri" >info
done
touch go

uri=$uri nbdsh -c - <<'PYTHON'
import os, nbd
seen = []
for i in range(6):
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    seen.append(bytes(h.pread(36, 0)))
    h.shutdown()
assert all(s.strip(b"\0") for s in seen), seen
assert len(set(seen)) == 6, "a disk was handed out twice: %r" % seen
PYTHON
wait_for 30 at_least 8
