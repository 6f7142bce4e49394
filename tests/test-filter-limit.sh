#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# --filter=limit: the client over the limit is turned away, and no disk is
# made for it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires filter:limit
# shellcheck disable=SC2016 # for the command
serve --filter=limit "$plugin" size=10M limit=2 witness="$work/witness" \
    command='echo made >>"$witness"; mkfs.ext4 -q -F "$disk"'
nbdsh -c - <<PYTHON
a, b, c = nbd.NBD(), nbd.NBD(), nbd.NBD()
a.connect_uri("$uri")
a.pwrite(b"a", 0)
b.connect_uri("$uri")
b.pwrite(b"b", 0)
try:
    c.connect_uri("$uri")
except nbd.Error as ex:
    print("refused, as it should be:", ex)
else:
    raise SystemExit("a third client was accepted")
PYTHON
[ "$(wc -l <witness)" -eq 2 ] || fail "$(wc -l <witness) disks were made, want 2"
wait_for 10 exercise
