#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client that asks for more than the connection holds and takes none of it
# keeps the server sending; it counts as dead, with its network up or not.

# shellcheck source=netns.sh
. "$(dirname "$0")/netns.sh"

two_machines
serve_tcp "$plugin" size=100M client-timeout=10s
# Only what aio_notify_write sends is sent: nothing reads.
for network in up down; do
    client '
buffers = [nbd.Buffer(4 << 20) for _ in range(16)]
for i in range(16):
    h.aio_pread(buffers[i], i << 22)
ready()
time.sleep(3600)'
    disks_are 1 || fail "got $(disks) disks, want 1"
    [ "$network" = up ] || link_down
    wait_for 30 disks_are 0 || fail "the disk is still there, with the network $network"
done
