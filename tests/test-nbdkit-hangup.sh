#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients that queue requests for much data and hang up, ten times, do no harm
# to another one, and leave no connection behind.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/stress

serve ./stress.so
sock=$sock nbdsh -c - <<'PYTHON'
import os
uri = "nbd+unix:///%s?socket=" + os.environ["sock"]
other = nbd.NBD()
other.connect_uri(uri % "other")
data = b"precious" * 8192
other.pwrite(data, 1 << 19)
for i in range(10):
    rude = nbd.NBD()
    rude.connect_uri(uri % "large")
    for j in range(32):
        rude.aio_pread(nbd.Buffer(2 << 20), j << 21)
    del rude
    assert other.pread(len(data), 1 << 19) == data
PYTHON
counted() { export=connections client 'assert h.pread(1, 0) == b"1"' 2>/dev/null; }
wait_for 10 counted || fail "connections are left over"
