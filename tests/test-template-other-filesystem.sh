#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# template-dir on another filesystem than TMPDIR: disks share the template, which is
# as sparse as what the command made.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

if [ "$(id -u)" -eq 0 ]; then
    mounted other 100M mkfs.ext4 -q -F
    templates=$work/other/templates
else
    templates=$(mktemp -d /dev/shm/tmpdisk-test.XXXXXX)
    at_exit "rm -r '$templates'"
fi
mkdir -p "$templates"
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=4G template-dir="$templates" command='
    printf hello | dd of="$disk" bs=1M seek=1000 conv=notrunc
    printf world | dd of="$disk" bs=1M seek=3000 conv=notrunc'
for _ in 1 2 3; do
    nbdsh -u "$uri" -c '
assert h.pread(5, 1000 << 20) == b"hello"
assert h.pread(5, 3000 << 20) == b"world"
assert h.pread(5, 2000 << 20) == bytes(5)
h.pwrite(b"other", 1000 << 20)
'
done
[ "$(grep -c 'hit, shared' "$log")" -ge 2 ] || fail "no disks that share it"
used=$(du -sk "$templates" | cut -f1)
[ "$used" -lt 1000 ] || fail "the template takes $used KiB"
