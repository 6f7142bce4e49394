#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client that queues reads and hangs up at once harms no other client.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=100M
nbdsh -c - <<PYTHON
other = nbd.NBD()
other.connect_uri("$uri")
data = b"precious" * 8192
other.pwrite(data, 1 << 20)
for _ in range(10):
    rude = nbd.NBD()
    rude.connect_uri("$uri")
    for i in range(32):
        rude.aio_pread(nbd.Buffer(2 << 20), i << 21)
    del rude
    assert other.pread(len(data), 1 << 20) == data
late = nbd.NBD()
late.connect_uri("$uri")
assert late.get_size() == 100 << 20
PYTHON
