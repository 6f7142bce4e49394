#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The harness itself: a test that leaves a file in TMPDIR or a process, or
# whose server dies, or that hangs, fails and says so, and what it left is gone
# afterwards.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir base
# inner STATUS TEXT CODE: a test of CODE must end with STATUS and print TEXT.
inner() {
    local status=0
    {
        printf '. "%s/tests/lib.sh"\n' "$top_srcdir"
        printf '%s\n' "$3"
    } >inner.sh
    env -u TMPDISK_TEST_DIR TMPDISK_NO_SKIP="${no_skip-}" TMPDISK_TEST_BASE="$work/base" \
        TMPDISK_TEST_TIMEOUT="${limit-180}" \
        bash inner.sh >inner.log 2>&1 || status=$?
    [ "$status" -eq "$1" ] || fail "got status $status, want $1: $3"
    has inner.log "$2"
    [ -z "$(ls -A base)" ] || fail "not cleaned away: $3"
}
# shellcheck disable=SC2016 # for the inner tests
{
    inner 0 "fine" 'echo fine'
    inner 1 "status 1" 'false; echo not reached'
    inner 1 "a reason" 'fail "a reason"'
    inner 77 "a reason" 'skip "a reason"'
    inner 77 "needs no-such-program" 'requires no-such-program'
    inner 1 "left behind in TMPDIR" 'touch "$TMPDIR/x"'
    inner 1 "left behind in TMPDIR" 'use_tmpdir "a b"; touch "$TMPDIR/x"; skip "not even then"'
    inner 1 "left behind: process" '(sleep 100 &)'
    inner 1 "left behind: process" 'env -i setsid sleep 100 &'
    inner 0 "fine" 'setsid sh -c "i=0; while [ \$i -lt 1000000 ]; do i=\$((i + 1)); done" & echo fine'
    inner 1 "left behind: process" 'env -i sh -c "cd /; exec sleep 100" 3>held &'
    inner 1 "ended by itself" 'serve null; kill -KILL "$server"; wait_for 9 gone "$server"'
    inner 1 "No module named" 'nbdsh -c "import no_such_module"'
    inner 1 "accepted" 'serve null; refused'
    limit=4 inner 124 "nothing of it has used the CPU for 4 s" 'sleep 1000'
    limit=4 inner 124 "cleaned up" 'at_exit "echo cleaned up"; sleep 1000'
    limit=4 inner 0 "fine" 'timeout 9 sh -c "while :; do :; done" || echo fine'
    no_skip=1 inner 1 "a skip is a failure" 'skip "a reason"'
    export TMPDISK_MAY_SKIP=other.sh
    no_skip=1 inner 1 "a skip is a failure" 'skip "a reason"'
    export TMPDISK_MAY_SKIP="other.sh inner.sh"
    no_skip=1 inner 77 "a reason" 'skip "a reason"'
}
