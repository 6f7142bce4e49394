#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The device below session-dir takes no more, which the kernel notices after clients were
# told that their data is written. A disk that lacks data is not given back: its client is
# refused, the log says why, and the failure is counted. Others come back.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires root loop mkfs.ext4

# A filesystem of 200 MiB on a loop device whose file has room for 24.
mkdir store
mount -t tmpfs -o size=24M tmpfs store
at_exit "wait_for 10 umount store 2>/dev/null"
truncate -s 200M store/image
mkfs.ext4 -qF -O ^has_journal -E lazy_itable_init=1,nodiscard store/image
mount -o loop,errors=continue store/image "$sessions"
at_exit "wait_for 10 umount '$sessions' 2>/dev/null"
chmod 700 "$sessions"
mkdir -m 700 "$sessions/tmp" run

TMPDIR=$sessions/tmp serve "$plugin" size=64M type=swap session-grace=1h session-dir="$sessions" \
    metrics-file="$work/run/lab.prom"
writes swap/small mine
talk <<'PYTHON'
c = connect("swap/large")
for i in range(40):
    c.pwrite(bytes([i + 1]) * 1048576, i << 20)
c.flush()
c.shutdown()
PYTHON
logged 'the filesystem could not write all that a client had written to the disk'
logged 'is removed: the filesystem that it was on failed'
refuses swap/large
logged 'its disk is gone: the filesystem that it was on failed'
finds swap/small mine
wait_for 30 grep -qx 'tmpdisk_failed_disks_total{server="lab",export=""} 1' run/lab.prom || fail "not counted: $(cat run/lab.prom)"

kill_server
TMPDIR=$sessions/tmp again "$plugin" size=64M type=swap session-grace=1h session-dir="$sessions"
refuses swap/large
finds swap/small mine
stop_server "$server"
