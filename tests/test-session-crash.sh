#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# When the machine crashes, what a client was told is flushed is there again with
# session-sync=yes; without it the client is refused. The crash is a copy of what
# the filesystem of session-dir has written so far.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires loop unshare mkfs.ext4 mkfs.xfs kernel:ext4 kernel:xfs
at_exit '! mountpoint -q mnt || umount -l mnt'

# crash TYPE TMPDIR SYNC: set up such a filesystem, with TMPDIR below it for disks
# that are linked, or elsewhere for those that are cloned; and have it crash.
crash() {
    local sync=session-sync=$3 option='' left
    rm -f image copy
    unset -f nbdkit
    [ "$1" != xfs ] || option=,nouuid
    truncate -s 320M image
    "mkfs.$1" -q image
    mkdir -p mnt
    mount -o loop image mnt
    mkdir -p mnt/tmp mnt/sessions other
    chmod 700 mnt/sessions
    sync -f mnt
    TMPDIR=$work/$2 serve "$plugin" size=16M type=swap session-grace=1h session-dir=mnt/sessions "$sync"
    talk <<'PYTHON'
c = connect("swap/one")
c.pwrite(b"flushed" * 10000, 0)
c.flush()
c = connect("swap/fua")     # a flush would be for this one's as well
c.pwrite(b"x" * 70000, 0)
c.zero(65536, 0, nbd.CMD_FLAG_FUA)
c.pwrite(b"not flushed", 3 << 20)
os.system("cp --sparse=always image copy")
PYTHON
    stop_server "$server"
    wait_for 10 umount mnt 2>/dev/null || fail "mnt stays busy"

    rebooted
    mount -o "loop$option" copy mnt
    TMPDIR=$work/$2 serve "$plugin" size=16M type=swap session-grace=1h session-dir=mnt/sessions "$sync"
    if [ "$3" = yes ]; then
        talk <<'PYTHON'
want(connect("swap/one").pread(70000, 0), b"flushed" * 10000)
want(connect("swap/fua").pread(70000, 0), bytes(65536) + b"x" * 4464)
PYTHON
    else
        refuses swap/one
        logged 'the machine has been started again'
    fi
    fresh swap/other
    stop_server "$server"
    left=$(find mnt/tmp other -mindepth 1)
    [ -z "$left" ] || fail "left behind: $left"
    wait_for 10 umount mnt 2>/dev/null || fail "mnt stays busy"
    echo "$*: as it should be"
}

for sync in yes no; do
    crash ext4 mnt/tmp "$sync"
    crash ext4 other "$sync"
    crash xfs mnt/tmp "$sync"
    crash xfs other "$sync"
done
