#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# base= works in every mode that nbdkit has, given relative to where it was started.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 10M base.img
mkfs.ext4 -q -F base.img
sum=$(sha256sum base.img)
nbdkit -U - "$plugin" base=base.img \
    --run "export uri; nbdsh -c - <'$top_srcdir/tests/exercise.py'"
serve "$plugin" base=./base.img
exercise
serve_daemon "$plugin" base=base.img
exercise
nbdsh -c "h.connect_command(['nbdkit', '-s', '$plugin', 'base=base.img'])" \
    -c 'assert h.pread(2, 0x438) == b"\x53\xef"' -c 'h.pwrite(b"x", 0)' -c 'h.shutdown()'
[ "$(sha256sum base.img)" = "$sum" ] || fail "the base has changed"
