#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A mkfs that hangs when nbdkit starts does not keep it from starting. If nbdkit is ended
# or killed meanwhile, neither a process nor a file is left.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkswap
mkdir bin
export hold=$work/hold
cat >bin/mkswap <<MKFS
#!/bin/sh
echo >>"$work/runs"
while [ -e "\$hold" ]; do sleep 0.05; done
exec $(command -v mkswap) "\$@"
MKFS
chmod +x bin/mkswap
PATH=$work/bin:$PATH
: >"$hold"

nothing() { [ -z "$(ls -A "$TMPDIR")" ]; }
for signal in KILL TERM INT; do
    rm -f runs
    # A background process of a script ignores SIGINT, if it is not told otherwise.
    env --default-signal=INT nbdkit -f -U "$work/sock" -P "$work/pid" "$plugin" size=1M type=swap 2>err.log &
    starts=$!
    wait_for 20 test -s runs || fail "mkfs does not run at the start"
    ! nothing || fail "nothing is in TMPDIR: the test tests nothing"
    kill -"$signal" "$starts"
    wait "$starts" 2>wait.log || :
    wait_for 20 nothing || fail "left behind after SIG$signal: $(ls -AR "$TMPDIR")"
    [ ! -e pid ] || fail "it wrote a pid file"
    rm -f sock
done

serve "$plugin" size=1M type=swap
rm "$hold"
nbdsh -u "$uri" -c 'assert h.pread(10, 4096 - 10) == b"SWAPSPACE2"'
