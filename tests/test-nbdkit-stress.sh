#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# 64 clients with 16 requests in flight each, that come and go at random for
# ten seconds, find the data right; afterwards no connection of the plugin's, no
# descriptor and no thread is left over. stress.py is the client.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/stress

serve -t 16 ./stress.so
count() {
    fds=$(find "/proc/$server/fd" -mindepth 1 | wc -l)
    threads=$(find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l)
}
# Once, so that the baseline has what Go keeps.
sock=$sock seconds=1 nbdsh -c - <"$top_srcdir/tests/stress.py"
only_one() { export=connections client 'assert h.pread(1, 0) == b"1"' 2>/dev/null; }
wait_for 10 only_one || fail "connections are left over at the beginning"
# A server without clients has its standard descriptors, one of bash's, its
# socket, its quit pipe, and Go's poller; of threads its own and a few of Go's.
settled() { count && [ "$fds" -le 10 ] && [ "$threads" -le 20 ]; }
wait_for 10 settled || fail "at the beginning $fds descriptors, $threads threads"
fds_before=$fds threads_before=$threads

sock=$sock seconds=10 nbdsh -c - <"$top_srcdir/tests/stress.py"
wait_for 10 only_one || fail "connections are left over"
# Go may have started a few more threads of its own, but not one per client.
settled() { count && [ "$fds" -le "$fds_before" ] && [ "$threads" -le $((threads_before + 8)) ]; }
wait_for 10 settled ||
    fail "descriptors: $fds_before, then $fds; threads: $threads_before, then $threads"
echo "connections: 0 left; descriptors: $fds_before, then $fds;" \
    "threads: $threads_before, then $threads"
