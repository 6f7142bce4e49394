#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command inherits no descriptor of the server: not its sockets, not the
# disk of another client.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M out="$work/got" \
    command='ls -l /proc/self/fd >"$out"; mkfs.ext4 -q -F "$disk"'
nbdsh -c - <<PYTHON
a, b = nbd.NBD(), nbd.NBD()
a.connect_uri("$uri")
a.pwrite(b"a", 0)
b.connect_uri("$uri")
PYTHON
cat got
grep -q ' 2 -> pipe:' got || fail "not a list of descriptors"
# The shell may have its script open, and ls the directory.
if awk '$9 > 2' got | grep -E 'socket:|/disk|deleted|anon_inode|pipe:'; then
    fail "the command has these open"
fi
