#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A connection that offers a descriptor sees its first request, those with flags
# and those that fail. The others are served without it, and as well.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/direct
truncate -s 1M file
serve ./direct.so file=file

nbdsh -u "$uri" -c - <<'PYTHON'
import random
rng = random.Random(1)
model = bytearray(h.get_size())
assert h.pread(1, 0) == b"\0"
for i in range(300):
    length = rng.randrange(1, 50000)
    offset = rng.randrange(h.get_size() - length)
    data = rng.randbytes(length)
    h.pwrite(data, offset)
    model[offset:offset + length] = data
    length = rng.randrange(1, 50000)
    offset = rng.randrange(h.get_size() - length)
    assert h.pread(length, offset) == model[offset:offset + length]
h.pwrite(b"forced", 0, nbd.CMD_FLAG_FUA)
assert h.pread(6, 0) == b"forced"
h.shutdown()
PYTHON
wait_for 10 grep -q "preads=1 pwrites=1$" "$log" || fail "Go saw others than two requests"

# The file ends before the disk: not served, not made up.
truncate -s 512K file
nbdsh -u "nbd+unix:///unwritable?socket=$sock" -c - <<'PYTHON'
h.pread(512, 0)
for offset in 524288, 524200:
    try:
        h.pread(512, offset)
    except nbd.Error as ex:
        assert ex.errno == "EIO", ex
    else:
        raise SystemExit("read beyond the end of the file")
try:
    h.pwrite(b"x", 0)
except nbd.Error as ex:
    assert ex.errno == "ENOSPC", ex
else:
    raise SystemExit("wrote through a descriptor that is for reading")
assert h.pread(6, 0) == b"forced"
h.shutdown()
PYTHON
wait_for 10 grep -q "preads=3 pwrites=1$" "$log" || fail "Go did not see what fails"
