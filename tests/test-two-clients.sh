#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Two clients at the same time see two disks: other contents, other UUID.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
nbdsh -c - <<PYTHON
a, b = nbd.NBD(), nbd.NBD()
a.connect_uri("$uri")
b.connect_uri("$uri")
assert not a.can_multi_conn()
a.pwrite(b"a" * 65536, 1 << 20)
b.pwrite(b"b" * 65536, 1 << 20)
assert a.pread(65536, 1 << 20) == b"a" * 65536
assert b.pread(65536, 1 << 20) == b"b" * 65536
uuid = 0x400 + 0x68
assert a.pread(16, uuid) != b.pread(16, uuid), "the same UUID twice"
PYTHON
