#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Each export may have its own base=, relative to where nbdkit was started, and another
# one, or none, than the command line.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# is EXPORT SIZE FILE: a client of EXPORT finds FILE, and zeroes up to SIZE.
is() {
    rm -f got want
    nbdcopy "nbd+unix:///$1?socket=$sock" got
    cp "$3" want
    truncate -s "$2" want
    cmp got want || fail "export '$1': not the content of $3"
}
head -c 100001 /dev/urandom >own.img
head -c 200002 /dev/urandom >other.img
sha256sum ./*.img >sums
mkdir exports
echo 'base=other.img' >exports/other.conf
printf 'base=other.img\nsize=300003\n' >exports/larger.conf
echo 'size=400004' >exports/size.conf
printf 'type=ext4\nsize=10M\n' >exports/ext4.conf
echo "command=cp '$work/own.img' \"\$disk\"" >exports/command.conf
echo 'size=0' >>exports/command.conf
printf 'base=\ntype=swap\nsize=10M\n' >exports/none.conf
serve_daemon "$plugin" base=own.img export-dir=exports
is '' 100001 own.img
is other 200002 other.img
is larger 300003 other.img
is size 400004 own.img
is command 100001 own.img
for name in ext4 none; do
    rm -f image
    nbdcopy "nbd+unix:///$name?socket=$sock" image
    [ "$(tag image TYPE)" = "${name/none/swap}" ] || fail "$name: a disk of $(tag image TYPE)"
done

# A mistake is that export's alone, and the log says whose.
printf 'base=absent.img\n' >exports/absent.conf
printf 'size=5\n' >exports/small.conf
printf 'base=other.img\nlabel=x\n' >exports/label.conf
for name in absent small label; do
    uri="nbd+unix:///$name?socket=$sock"
    refused
done

# A new base is as good as a new file of the export.
cp own.img newer.img
echo 'base=newer.img' >exports/.new
mv exports/.new exports/other.conf
replaced() { [ "$(nbdinfo --size "nbd+unix:///other?socket=$sock")" -eq 100001 ]; }
wait_for 20 replaced || fail "the export has not got its new base"
is other 100001 own.img
sha256sum --quiet -c sums
