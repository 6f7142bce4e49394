#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command may put a link to a block device in place of the disk: the device
# is served, its size, data, zeroes and trims.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop
truncate -s 20M backing.img
loop=$(losetup -f --show backing.img)
at_exit "losetup -d $loop"
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=0 device="$loop" command='ln -sf "$device" "$disk"'
nbdsh -u "$uri" -c - <<'PYTHON'
assert h.get_size() == 20 << 20, h.get_size()
h.pwrite(b"block" * 4000, 12345)
assert h.pread(20000, 12345) == b"block" * 4000
h.pwrite(b"x" * (4 << 20), 8 << 20)
h.zero(1 << 20, 8 << 20)
h.zero(1 << 20, 9 << 20, nbd.CMD_FLAG_NO_HOLE)
h.zero(777, (10 << 20) + 5)
h.trim(1 << 20, 11 << 20)
h.flush()
assert h.pread(2 << 20, 8 << 20) == bytes(2 << 20)
assert h.pread(785, 10 << 20) == b"x" * 5 + bytes(777) + b"x" * 3
h.shutdown()
PYTHON
stop_server "$server"
[ -b "$loop" ] || fail "the device is gone"
blockdev --flushbufs "$loop"
[ "$(tail -c +12346 backing.img | head -c 10)" = blockblock ] ||
    fail "not written to the device"
