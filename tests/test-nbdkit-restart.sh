#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Ten starts and stops in the background, one after the other, each with a few
# clients: nothing is left, no process, socket or file.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin examples/ramdisk

mkdir run
for i in {1..10}; do
    nbdkit -U run/sock -P run/pid ./ramdisk.so 1M
    wait_for 10 test -s run/pid || fail "start $i: no pid file"
    server=$(cat run/pid)
    sock=$work/run/sock client 'h.pwrite(b"x" * 512, 0)
assert h.pread(512, 0) == b"x" * 512'
    kill -TERM "$server"
    wait_for 10 gone "$server" || fail "stop $i: still there"
    rm run/pid run/sock # nbdkit leaves these to whoever named them
    [ -z "$(ls -A run)" ] || fail "stop $i: left behind: $(ls -A run)"
done
