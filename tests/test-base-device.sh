#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A base may be a block device, even one that cannot be written to. Where it cannot be
# read clients get an error, and what they wrote themselves. When it has another size, so
# have new disks.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop qemu-img
head -c 20M /dev/urandom >backing.img
sum=$(sha256sum <backing.img)
loop=$(losetup -r -f --show backing.img)
at_exit "losetup -d $loop"
serve "$plugin" base="$loop"
qemu-img compare -f raw -F raw backing.img "$uri"
requests=300 trims=exact base=backing.img uri=$uri nbdsh -c - <"$top_srcdir/tests/base-model.py"
stop_server "$server"
[ "$(sha256sum <"$loop")" = "${sum}" ] || fail "the device has changed"
serve "$plugin" base="$loop" size=21000001
uri=$uri loop=$loop nbdsh -c - <<'PYTHON'
import os

with open("backing.img", "rb") as f:
    base = f.read()
h = nbd.NBD()
h.connect_uri(os.environ["uri"])
assert h.get_size() == 21000001
assert h.pread(21000001 - len(base) + 5, len(base) - 5) == base[-5:] + bytes(21000001 - len(base))
h.pwrite(b"mine" * 1024, 15 << 20)
os.truncate("backing.img", 10 << 20)
with open(os.environ["loop"], "rb") as f:  # what the kernel has read already it knows
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
assert h.pread(1 << 20, 0) == base[:1 << 20]
assert h.pread(4096, 15 << 20) == b"mine" * 1024
try:
    got = h.pread(4096, 16 << 20)
except nbd.Error as ex:
    assert ex.errno == "EIO", ex
else:
    raise SystemExit("read what is missing: %r" % got[:8])
PYTHON
has "$log" "$loop: clients get errors"
stop_server "$server"

truncate -s 10M backing.img
losetup -c "$loop"
serve "$plugin" base="$loop"
wants_size() {
    [ "$(nbdinfo --size "$uri")" -eq $(($1 << 20)) ] || fail "$(nbdinfo --size "$uri") bytes, not $1 MiB"
}
wants_size 10
for size in 30 15; do
    truncate -s "${size}M" backing.img
    losetup -c "$loop"
    wants_size $size
    has "$log" "$loop: changed in place"
    wants_size $size
    qemu-img compare -f raw -F raw backing.img "$uri"
done
[ "$(grep -c "$loop: changed in place" "$log")" -eq 2 ] || fail "said more than once for each change"
