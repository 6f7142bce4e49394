#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What a client trims is free again on the server at once, and reads as
# zeroes.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=200M command=:
nbdsh -u "$uri" -c - <<'PYTHON'
import glob, os
def used():
    "bytes that the disk, which has no name any more, takes on the server"
    for fd in glob.glob("/proc/%s/fd/*" % open("s1.pid").read().strip()):
        if os.readlink(fd).endswith("(deleted)"):
            st = os.stat(fd)
            if st.st_size == 200 << 20:
                return st.st_blocks * 512
    raise SystemExit("the server has no such file open")
assert used() == 0, used()
for offset in range(0, 20 << 20, 1 << 20):
    h.pwrite(b"t" * (1 << 20), offset)
assert used() >= 20 << 20, used()
h.trim(16 << 20, 2 << 20)
assert used() <= 5 << 20, used()
assert h.pread(16 << 20, 2 << 20) == bytes(16 << 20)
assert h.pread(2 << 20, 0) == b"t" * (2 << 20)
assert h.pread(2 << 20, 18 << 20) == b"t" * (2 << 20)
PYTHON
