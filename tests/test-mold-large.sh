#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Disks of a type whose fresh filesystem is too large for memory share one: each has a
# UUID of its own and no faults, whatever the others write, and takes next to no space.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ntfs ntfsfix mkfs.ext3 e2fsck blkid
small_tmpdir 1500M
free() {
    sync -f "$TMPDIR"
    echo $(($(stat -f -c '%f * %S' "$TMPDIR")))
}
# check TYPE SIZE MOST CHECKER...: MOST KiB are what a fresh disk may take.
check() {
    local type=$1 size=$2 most=$3 before after took i
    shift 3
    serve -v "$plugin" type="$type" size="$size"
    # The first client has mkfs run. The second finds what all share.
    nbdcopy "$uri" disk1
    nbdinfo --size "$uri"
    before=$(free)
    export uri
    free=$(declare -f free) nbdsh -c - >after <<'PYTHON'
import os, subprocess
clients = []
for n in range(10):
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    h.pread(1 << 20, 0)
    clients.append(h)
subprocess.run(["bash", "-c", os.environ["free"] + "; free"], check=True)
for h in clients:
    h.pwrite(b"spoilt" * 50000, 0)
    h.pwrite(b"spoilt" * 50000, h.get_size() // 2 - 5)
PYTHON
    after=$(cat after)
    echo "$type: free before: $before, and with 10 clients: $after"
    # A UUID is in each of the copies of a superblock, of which large disks have many.
    took=$((before - after))
    [ "$took" -le $((10 * most * 1024)) ] || fail "10 disks take $took bytes"
    has "$log" "disks share a file"
    nbdcopy "$uri" disk2
    nbdcopy "$uri" disk3
    : >uuids
    for i in 1 2 3; do
        [ "$(tag "disk$i" TYPE)" = "$type" ] || fail "blkid: type $(tag "disk$i" TYPE)"
        tag "disk$i" UUID >>uuids
    done
    "$@" disk2 >check.log 2>&1 || { cat check.log; fail "$1 found faults"; }
    [ "$(sort -u uuids | wc -l)" -eq 3 ] || fail "3 disks with these UUIDs: $(cat uuids)"
    stop_server "$server"
    rm disk?
}
check ntfs 16G 64 ntfsfix -n
check ext3 200G 96 e2fsck -fn
