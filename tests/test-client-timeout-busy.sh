#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The disk of a client whose network dies with requests in flight is freed,
# also while the server is blocked in sending replies.

# shellcheck source=netns.sh
. "$(dirname "$0")/netns.sh"

two_machines
serve_tcp "$plugin" size=100M client-timeout=10s

# Replies are on their way all the time.
client '
buffers = [nbd.Buffer(1 << 20) for _ in range(16)]
n = 0
while True:
    if h.aio_in_flight() < 16:
        h.aio_pread(buffers[n % 16], n % 80 << 20)
        n += 1
    else:
        h.poll(-1)
        while h.aio_peek_command_completed() > 0:
            h.aio_command_completed(h.aio_peek_command_completed())
    if n == 200:
        ready()'
disks_are 1 || fail "got $(disks) disks, want 1"
link_down
wait_for 30 disks_are 0 || fail "a dead client's disk is still there"
