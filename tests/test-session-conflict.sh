#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# session-conflict=share: several connections write one disk at a time, and say
# that they can.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires nbdcopy nbdinfo
args=("$plugin" size=64M type=swap session-grace=1h)

serve "${args[@]}" session-conflict=share
name="nbd+unix:///swap/one?socket=$sock"
nbdinfo --can multi-conn "$name" || fail "share: not multi-conn"
! nbdinfo --can multi-conn "$uri" || fail "a disk without a session is multi-conn"
head -c 64M /dev/urandom >image
nbdcopy --connections=4 --requests=16 image "$name"
nbdcopy --connections=4 "$name" copy
cmp image copy
talk <<'PYTHON'
all = [connect("swap/one") for i in range(4)]
for i, c in enumerate(all * 2):
    c.pwrite(b"%d" % i, i)
    for other in all:
        want(other.pread(1, i), b"%d" % i)
PYTHON
stop_server "$server"

serve "${args[@]}"
! nbdinfo --can multi-conn "nbd+unix:///swap/one?socket=$sock" || fail "handover: multi-conn"
