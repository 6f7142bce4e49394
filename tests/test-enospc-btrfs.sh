#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# On btrfs as well, when the filesystem of TMPDIR is full all clients can go on
# with what they have written, and a clone shares blocks with its template.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop mkfs.btrfs mkfs.ext4 kernel:btrfs
truncate -s 400M small.img
mkfs.btrfs -q -f small.img
use_tmpdir small
mount -o loop small.img "$TMPDIR"
at_exit "check_empty '$TMPDIR' && umount '$TMPDIR'"
serve "$plugin" size=1G
nbdsh -c - <<PYTHON
a, b = nbd.NBD(), nbd.NBD()
a.connect_uri("$uri")
b.connect_uri("$uri")
size = 1 << 20
for i in range(8):
    b.pwrite(b"B" * size, i * size)
written = 0
try:
    while True:
        a.pwrite(b"A" * size, written * size)
        written += 1
        assert written < 1000, "the filesystem never got full"
except nbd.Error as ex:
    assert ex.errno == "ENOSPC", ex.errno
assert written >= 100, written
# Few, because btrfs looks for room each time, and that takes a while.
for h, byte in (a, b"a"), (b, b"b"):
    for i in range(8):
        h.pwrite(byte * size, i * size)
for h, byte in (a, b"a"), (b, b"b"):
    for i in range(8):
        assert h.pread(size, i * size) == byte * size
a.trim(written * size, 0)
assert a.pread(size, 0) == bytes(size)
PYTHON
stop_server "$server"

mkdir "$TMPDIR/templates"
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=200M template-dir="$TMPDIR/templates" command='mkfs.ext4 -q -F "$disk"'
for _ in 1 2; do
    nbdsh -u "$uri" -c 'h.pread(512, 0)'
done
has "$log" 'kept by reflink'
has "$log" 'cloned by reflink'
stop_server "$server"
rm -r "$TMPDIR/templates"
