#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A flood of refused clients, or of requests that fail, is ten lines of each kind in
# the log, and then one that says how many there were.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

mkdir exports
printf 'type=swap\nsize=1M\nsession-grace=1h\n' >exports/swap.conf
printf 'command=echo sorry >&2; false\nsize=1M\n' >exports/failed.conf
serve "$plugin" export-dir=exports client-disks=2
talk <<'PYTHON'
for i in range(300):
    refused("nothing-%d" % i)
for i in range(30):
    refused("failed")
old = connect("swap/one")
old.pwrite(b"old", 0)
new = connect("swap/one")
new.pwrite(b"new", 0)
two = connect("swap/two")
for i in range(40):
    refused("swap/three")
failed = []
def completed(err):
    failed.append(err.value)
    return 1
for i in range(10_000):
    old.aio_pread(nbd.Buffer(1), 0, completion=completed)
    while old.aio_in_flight() > 64:
        old.poll(-1)
while old.aio_in_flight() > 0:
    old.poll(-1)
want((len(failed), set(failed)), (10_000, {errno.ESHUTDOWN}))
PYTHON
stop_server "$server"

# lines TEXT N: ten lines a minute have it, and one more that counts the others; N
# in all.
lines() {
    local said
    grep -F -e "$1" "$log" >lines || :
    said=$(sed -E 's/.*\.\.\. and ([0-9]+) more of this kind in the last minute: .*/\1/; t; s/.*/1/' lines |
        awk '{ n += $1 } END { print n + 0 }')
    [ "$said" -eq "$2" ] || fail "'$1': got $said, want $2"
    [ "$(wc -l <lines)" -le $((11 * (SECONDS / 60 + 1))) ] || fail "$(wc -l <lines) lines of '$1'"
}
lines 'there is no such export' 300
lines sorry 30
lines client-disks=2 40
lines 'gone over to a later connection' 10000
