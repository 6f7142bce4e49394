#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Thirty clients at once, each with data of its own; when they are gone so are
# their disks.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
nbdsh -c - <<PYTHON
import threading
errors = []
def client(n):
    try:
        h = nbd.NBD()
        h.connect_uri("$uri")
        data = bytes([n]) * 65536
        for offset in range(1 << 20, 9 << 20, 1 << 20):
            h.pwrite(data, offset + n)
        for offset in range(1 << 20, 9 << 20, 1 << 20):
            assert h.pread(65536, offset + n) == data
        h.shutdown()
    except Exception as ex:
        errors.append((n, ex))
threads = [threading.Thread(target=client, args=(n,)) for n in range(1, 31)]
for t in threads: t.start()
for t in threads: t.join()
assert not errors, errors
PYTHON
disks() { find "/proc/$server/fd" -lname "$TMPDIR/*" | wc -l; }
closed() { [ "$(disks)" -eq 0 ]; }
wait_for 10 closed || fail "$(disks) disks are still open"
