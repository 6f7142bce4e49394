#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every recipe for the boot ID as a token gives the same one, in a shell and as %b of
# a systemd unit, and systemd finds no fault in the units that the manual has.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires systemd-analyze systemd-id128
cd "$top_srcdir"
documents=(README.md SECURITY.md nbdkit-tmpdisk-plugin.pod examples/*)
want=$(systemd-id128 boot-id) # what %b is
grep -q -- '-N [a-z]*/%b' nbdkit-tmpdisk-plugin.pod || fail "no unit with %b"
n=0
# shellcheck disable=SC2016 # for grep
while read -r recipe; do
    got=$(bash -c "echo $recipe")
    [ "$got" = "$want" ] || fail "$recipe gives $got, and %b is $want"
    n=$((n + 1))
done < <(grep -ho '\$([^)]*boot_id[^)]*)' "${documents[@]}")
[ "$n" -ge 3 ] || fail "found only $n recipes"
# In no other way.
[ "$(cat "${documents[@]}" | grep -o '/boot_id' | wc -l)" -eq "$n" ] || fail "boot_id is used without \$()"

cd "$work"
# The file that the manual says to write, with a program that is here.
awk '/^F<.*\.service>\./ { file = 1 } file && /^ / { unit = 1; print substr($0, 2) }
    file && /^$/ && unit { print "" } file && unit && /^[^ ]/ { exit }' \
    "$top_srcdir/nbdkit-tmpdisk-plugin.pod" | sed 's/nbd-client/true/' >netswap.service
has netswap.service WantedBy=
# What it says to write with systemctl edit, for our own units.
cp "$top_srcdir"/packaging/systemd/nbdkit-tmpdisk.{service,socket} .
for unit in service socket; do
    mkdir "nbdkit-tmpdisk.$unit.d"
    awk -v unit="nbdkit-tmpdisk.$unit" '/systemctl edit/ { edit = index($0, unit) }
        edit && /^ / { print substr($0, 2); found = 1 } edit && found && /^$/ { edit = found = 0 }' \
        "$top_srcdir/nbdkit-tmpdisk-plugin.pod" >"nbdkit-tmpdisk.$unit.d/manual.conf"
    [ -s "nbdkit-tmpdisk.$unit.d/manual.conf" ] || fail "no change to nbdkit-tmpdisk.$unit found"
done
systemd-analyze verify --man=no ./*.service ./*.socket >verify.log 2>&1 || fail "verify: $(cat verify.log)"
if grep -E 'netswap|nbdkit-tmpdisk' verify.log; then
    fail "warnings"
fi
