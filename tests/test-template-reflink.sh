#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# On xfs and btrfs clones share the template's blocks: ten clients of a disk
# with 64 MiB of data fit where there is room for two such disks.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires loop
check() {
    local fs=$1 size=$2
    shift 2
    requires "kernel:$fs"
    mounted "$fs" "$size" "$@"
    mkdir -m 700 "$fs/templates" "$fs/tmp"
    # shellcheck disable=SC2016 # for the command
    TMPDIR=$work/$fs/tmp serve -v "$plugin" size=1G template-dir="$work/$fs/templates" \
        command='head -c 64M /dev/urandom >"$disk" && truncate -s "$size" "$disk"'
    nbdsh -c - <<PYTHON
import hashlib
def digest(h):
    return hashlib.sha256(b"".join(h.pread(1 << 20, i << 20) for i in range(66))).digest()
clients = [nbd.NBD() for _ in range(10)]
for h in clients:
    h.connect_uri("$uri")
digests = {digest(h) for h in clients}
assert len(digests) == 1, "the clones differ"
for n, h in enumerate(clients):
    h.pwrite(bytes([n]) * 65536, 5 << 20)
for n, h in enumerate(clients):
    assert h.pread(65536, 5 << 20) == bytes([n]) * 65536
PYTHON
    stop_server "$server"
    [ "$(grep -c 'hit, cloned by reflink' "$log")" -ge 9 ] || fail "$fs: no reflinks"
    has "$log" 'kept by reflink'
    [ -z "$(ls -A "$fs/tmp")" ] || fail "left behind: $(ls -A "$fs/tmp")"
}
check xfs 300M mkfs.xfs -q
check btrfs 300M mkfs.btrfs -q
