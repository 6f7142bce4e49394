#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# However many clients read a base, the server reads it from storage once.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

head -c 32M /dev/urandom >base.img
sync base.img
# forget: have the kernel forget what it has of the image in memory.
forget() {
    dd if=base.img iflag=nocache count=0 status=none
}
# stored PID: how many bytes the process has had read from storage.
stored() {
    sed -n 's/^read_bytes: //p' "/proc/$1/io"
}
forget
before=$(stored $$)
read -r -n 1 _ <base.img || :
[ "$(stored $$)" -gt "$before" ] || skip "needs a filesystem on storage, which the kernel counts"
serve "$plugin" base=base.img
nbdinfo --size "$uri"
forget
before=$(stored "$server")
uri=$uri nbdsh -c - <<'PYTHON'
import os, threading

with open("base.img", "rb") as f:
    f.seek(31 << 20)
    last = f.read()


def client():
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    for i in range(32):
        data = h.pread(1 << 20, i << 20)
    done.append(data == last)
    h.pwrite(b"mine", 5)


done = []
clients = [threading.Thread(target=client) for _ in range(40)]
for c in clients:
    c.start()
for c in clients:
    c.join()
assert done == [True] * 40, done
PYTHON
took=$(($(stored "$server") - before))
echo "$took bytes read from storage"
[ "$took" -le $((36 << 20)) ] || fail "that is more than once"
