#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Any other type is tried as mkfs.TYPE, with $label as -L, if that program
# exists.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

mkdir bin
cat >bin/mkfs.homemade <<'MKFS'
#!/bin/sh
printf '%s\n' "$@" >"$WITNESS"
while [ $# -gt 1 ]; do shift; done
mke2fs -q -F "$1"
MKFS
chmod +x bin/mkfs.homemade
export WITNESS=$work/arguments PATH=$work/bin:$PATH
check_type homemade 10M "" ext2 e2fsck -fn
[ "$(wc -l <arguments)" -eq 1 ] || fail "more arguments than the disk"

serve "$plugin" size=10M type=homemade label="my disk"
nbdinfo --size "$uri"
[ "$(head -n 2 arguments)" = "$(printf '%s\n' -L 'my disk')" ] || {
    cat arguments
    fail "not called with -L and the label"
}
