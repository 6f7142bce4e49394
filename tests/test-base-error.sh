#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A base= that is not to be had, or that another parameter speaks against, ends nbdkit
# before it forks. The error says what is wrong, and what to leave out or to give.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

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
