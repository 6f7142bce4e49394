#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# 1,000 clients of one server have 1,000 different identities: the UUID of ext4,
# and the serial number of ntfs, which mkfs makes of the time in seconds.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# different TYPE SIZE OFFSET COUNT: the bytes there are another client's never.
different() {
    requires "mkfs.$1"
    serve "$plugin" type="$1" size="$2"
    nbdsh -c - <<PYTHON
seen = set()
for _ in range(1000):
    h = nbd.NBD()
    h.connect_uri("$uri")
    seen.add(bytes(h.pread($4, $3)))
    h.shutdown()
assert len(seen) == 1000, "$1: %d identities of 1000 disks" % len(seen)
assert bytes($4) not in seen
PYTHON
    stop_server "$server"
}
different ext4 1G $((1024 + 104)) 16
different ntfs 2M 72 8
