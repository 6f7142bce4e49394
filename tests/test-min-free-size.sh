#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With less than min-free left new clients are turned away with an error that
# says so, whether a disk is ready for them or not; those that are there go on,
# and when one trims there is room again.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

small_tmpdir 40M
serve "$plugin" size=100M command=: min-free=15M spare-disks=1
export log uri
nbdsh -c - <<'PYTHON'
import os
uri, log = os.environ["uri"], os.environ["log"]
a, b = nbd.NBD(), nbd.NBD()
a.connect_uri(uri)
block = b"0123456789abcdef" * 65536
for i in range(25):
    a.pwrite(block, i << 20)
try:
    b.connect_uri(uri)
except nbd.Error:
    pass
else:
    raise SystemExit("a client was let in with too little space")
text = open(log).read()
assert "open: parameter min-free: too little is free in " in text, text
assert " and 15728640 must be" in text, text
for i in range(25):
    assert a.pread(len(block), i << 20) == block
a.trim(20 << 20, 0)
c = nbd.NBD()
c.connect_uri(uri)
c.pwrite(block, 0)
assert a.pread(len(block), 24 << 20) == block
PYTHON
