#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Each read and write that succeeds without Go is counted, exactly once, whatever
# else is in progress, and one in 256 is timed.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

requires fuse bindfs
go_plugin internal/testplugin/counts

# A write to this file takes as long as we want: until bindfs goes on.
mkdir below mnt
bindfs -f -o fsname=tmpdisk-test below mnt &
bindfs=$!
at_exit "fusermount3 -u '$work/mnt' && wait $bindfs"
wait_for 10 mountpoint -q mnt || fail "bindfs did not mount"
truncate -s 1M file mnt/file
serve ./counts.so file=mnt/file
slow=$sock
at_exit "kill -CONT $bindfs"
serve -t 16 ./counts.so file=file

sock=$sock slow=$slow bindfs=$bindfs nbdsh -c - <"$top_srcdir/tests/counts.py"
[ "$(grep -c "open: panic: on purpose" "$log")" -eq 1 ] || fail "no panic in the log"
