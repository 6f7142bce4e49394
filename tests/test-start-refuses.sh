#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A disk that can never be made ends nbdkit before it forks, with status 1 and in the words
# of mkfs, whether the command line asks for it or an export. A file with such a disk that
# comes later changes nothing.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4 mkfs.xfs mkfs.fat mkswap
at_exit "check_empty '$TMPDIR'"
rejected 'no xfs of 268435456 bytes can be made: mkfs.xfs: exit code 1: .*300MB' size=256M type=xfs
! grep -q -i usage err.log || fail "it says how mkfs.xfs is used"
rejected 'no ext4 of 16384 bytes can be made: mkfs.ext4: .*Not enough space' size=16K type=ext4
rejected 'no vfat of 67108864 bytes .*are not allowed' size=64M type=vfat label=rootfs.0
rejected 'the vfat filesystem has 2199023[0-9]* bytes, and the disk 3298534883328' size=3T type=vfat
# More than any filesystem has.
rejected 'parameter size: 9223372036854771712 bytes: more than a file' size=9223372036854771712
rejected 'parameter size: 9223372036854771712 bytes: more than a file' size=9223372036854771712 command=:
mkdir exports
printf 'size=1M\ntype=swap\n' >exports/a.conf
printf 'size=256M\ntype=xfs\n' >exports/b.conf
rejected "parameter export-dir: $work/exports/b.conf: parameter type: no xfs of 268435456 bytes" \
    export-dir="$work/exports"
! nbdkit -U "$work/sock" "$plugin" size=256M type=xfs --run 'touch ran' 2>err.log || fail "--run succeeded"
[ ! -e ran ] || fail "the command of --run ran"
! nbdkit -s "$plugin" size=256M type=xfs </dev/null >out 2>err.log || fail "-s succeeded"
[ ! -s out ] || fail "something is on standard output"
check_empty "$TMPDIR"

# Later the last good version stays.
rm exports/b.conf
serve "$plugin" export-dir="$work/exports"
size() { nbdinfo --size "nbd+unix:///a?socket=$sock"; }
[ "$(size)" -eq 1048576 ] || fail "another size"
printf 'size=8K\ntype=swap\n' >exports/new
mv exports/new exports/a.conf
[ "$(size)" -eq 1048576 ] || fail "another size, of which no disk can be made"
wait_for 10 grep -q 'export-dir: .*a.conf: .*no swap of 8192 bytes' "$log" || fail "nothing about it in the log"
printf 'size=2M\ntype=swap\n' >exports/new
mv exports/new exports/a.conf
[ "$(size)" -eq 2097152 ] || fail "the file was mended, and nothing changed"
