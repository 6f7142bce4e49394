#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A gate stops the reads and writes that go past Go, each kind by a bit of its
# own, and its count is that of those in progress until the last has ended.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

requires fuse bindfs
go_plugin internal/testplugin/gate

# A write to this file takes as long as we want: until bindfs goes on.
mkdir below mnt
bindfs -f -o fsname=tmpdisk-test below mnt &
bindfs=$!
at_exit "fusermount3 -u '$work/mnt' && wait $bindfs"
wait_for 10 mountpoint -q mnt || fail "bindfs did not mount"
head -c 65536 /dev/zero | tr '\0' f >mnt/file
serve ./gate.so file=mnt/file
at_exit "kill -CONT $bindfs"

sock=$sock bindfs=$bindfs nbdsh -c - <"$top_srcdir/tests/gate.py"
[ "$(grep -c "open: panic: on purpose" "$log")" -eq 1 ] || fail "no panic in the log"
