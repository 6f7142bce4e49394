#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# 100 clients at once, without spare disks and with: all are served, each with
# a filesystem of its own, and never more than make-jobs of mkfs run together.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4
for spares in 0 30; do
    notes=$PWD/notes.$spares
    : >"$notes"
    # shellcheck disable=SC2016 # for the command
    serve "$plugin" size=16M spare-disks=$spares make-jobs=3 notes="$notes" \
        command='printf + >>"$notes"; mkfs.ext4 -qF "$disk" || exit; printf - >>"$notes"'
    uri=$uri notes=$notes nbdsh -c - <<'PYTHON'
import os, threading, nbd
uuids, errors, come = [], [], threading.Barrier(100)
def client():
    try:
        h = nbd.NBD()
        come.wait()
        h.connect_uri(os.environ["uri"])
        uuids.append(bytes(h.pread(16, 1024 + 104)))
        held.append(h)
    except Exception as e:
        errors.append(e)
held = []
threads = [threading.Thread(target=client) for i in range(100)]
for t in threads: t.start()
for t in threads: t.join()
assert not errors, errors
assert len(set(uuids)) == 100, "%d different disks, want 100" % len(set(uuids))
now = most = 0
for c in open(os.environ["notes"]).read():
    now += 1 if c == "+" else -1
    most = max(most, now)
assert 0 < most <= 3, "%d of mkfs at once, want at most 3" % most
for h in held: h.shutdown()
PYTHON
    stop_server "$server"
done
