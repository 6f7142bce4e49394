#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client names the size of its disk, up to size-max; a session keeps its size, over
# a restart too; clients that name ever new sizes harm nobody.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

# size EXPORT N: a client that asks only is told N bytes.
size() {
    local got
    got=$(nbdinfo --size "nbd+unix:///$1?socket=$sock") || fail "export '$1': no disk"
    [ "$got" -eq "$2" ] || fail "export '$1': got $got bytes, want $2"
}

# refused EXPORT TEXT: it is no export, for the reason TEXT.
refused() {
    refuses "$1"
    logged "$2"
}

mkdir exports
printf '%s\n' type=ext4 size=4M size-max=100M export-description='Scratch space' >exports/scratch.conf
printf '%s\n' type=swap size=1M >exports/fixed.conf
# shellcheck disable=SC2016 # for the command
printf '%s\n' size=1M size-max=20M 'command=truncate -s "$((size / 1024))K" "$disk"' >exports/command.conf

serve "$plugin" export-dir=exports session-dir="$sessions" session-grace=1h session-key=name
size scratch 4194304
size scratch:64M 67108864
size scratch:8388608 8388608
size command:3M 3145728
refused scratch:101M 'a disk of 105906176 bytes: parameter size-max: at most 104857600'
refused scratch:much '"much" is no size'
refused scratch:16K 'Not enough space'
refused fixed:1M 'export "fixed:1M": there is no such export'
refused command:1000000 'the disk has 999424 bytes where the client named 1000000'
nbdinfo --list "nbd+unix://?socket=$sock" >list
has list 'description: Scratch space (up to 100M)'
grep -q 'export="scratch:' list && fail "the list has sizes"

# What was named is what is there, each with an identity of its own.
for i in 1 2; do
    nbdcopy "nbd+unix:///scratch:64M?socket=$sock" "image$i"
    e2fsck -fn "image$i" >e2fsck.out 2>&1 || fail "$(cat e2fsck.out)"
    [ "$(dumpe2fs -h "image$i" 2>/dev/null | awk '/^Block count:/{b = $3} /^Block size:/{print b * $3}')" -eq 67108864 ] ||
        fail "the filesystem is not of 64 MiB"
done
[ "$(tag image1 UUID)" != "$(tag image2 UUID)" ] || fail "two disks have one UUID"

writes scratch:20M/one here
refused scratch:30M/one "the session's disk has 20971520 bytes, not 31457280"
finds scratch:20M/one here
finds scratch/one here
kill_server
serve "$plugin" export-dir=exports session-dir="$sessions" session-grace=1h session-key=name
refused scratch:30M/one "the session's disk has 20971520 bytes, not 31457280"
finds scratch:20M/one here
size scratch/one 20971520

# Many sizes at once, and a client that names none does not wait for them.
talk <<'PYTHON'
from concurrent.futures import ThreadPoolExecutor
def ask(mib):
    c = connect("scratch:%dM" % mib)
    want(c.get_size(), mib << 20)
    c.shutdown()
with ThreadPoolExecutor(20) as clients:
    for _ in clients.map(ask, range(5, 95)):
        pass
PYTHON
size scratch 4194304
