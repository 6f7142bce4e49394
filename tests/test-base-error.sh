#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A base= that is not to be had, or that another parameter speaks against, ends nbdkit
# before it forks. The error says what is wrong, and what to leave out or to give.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# rejected TEXT ARGUMENTS...: with this error, in the foreground and in the background.
rejected() {
    local text=$1 mode status
    shift
    for mode in -f ''; do
        status=0
        # shellcheck disable=SC2086 # no argument if empty
        timeout 20 nbdkit $mode -U "$work/sock" -P "$work/pid" "$plugin" "$@" \
            2>err.log || status=$?
        [ "$status" -eq 1 ] || fail "status $status, want 1: nbdkit $mode $*"
        grep -q "error: .*$text" err.log || {
            cat err.log
            fail "not in the error: $text: nbdkit $mode $*"
        }
        [ ! -e pid ] || fail "it wrote a pid file: nbdkit $mode $*"
    done
}
truncate -s 1M base.img
mkdir directory
mkfifo fifo
: >empty
rejected 'base: empty: name an image' base=
rejected "base: .*$work/absent: no such file" base=absent
rejected "base: .*$work/directory: is a directory" base=directory
rejected "base: .*$work/fifo: is a FIFO" base=fifo
rejected "base: .*/dev/null: is a character device" base=/dev/null
rejected "base: .*$work/empty: is empty: .*give size=" base=empty
rejected "size: 1048575 bytes: less than the 1048576 bytes of base=$work/base.img" base=base.img size=1048575
rejected 'leave out type=, or base=' base=base.img type=ext4
rejected 'leave out label=, or base=' base=base.img label=data
rejected 'leave out command=, or base=' base=base.img command=:
rejected 'leave out command=, or base=' size=2M command=: base=base.img
