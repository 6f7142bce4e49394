#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A base that is gone, cannot be read, or is no image any more turns clients away, with
# the reason in the log. Each client that comes looks again, and those who are
# connected go on.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root # to be another user
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work" "$TMPDIR"
head -c 100000 /dev/urandom >base.img
cp base.img want
serve -u nobody "$plugin" base=base.img
# The client that is connected all the time.
mkfifo go
nbdsh -u "$uri" -c 'h.pwrite(b"mine", 5000)' -c 'open("connected", "w")' -c 'open("go").read()' \
    -c 'want = bytearray(open("want", "rb").read())' -c 'want[5000:5004] = b"mine"' \
    -c 'assert h.pread(100000, 0) == want' &
client=$!
at_exit "! alive $client || kill $client"
wait_for 20 test -e connected
served() { nbdcopy "$uri" got && cmp got want; }
served
# again: the base is back, and so the next client is served.
again() {
    served || fail "the base is back, but not served"
}
mv base.img away
refused
refused
has "$log" "parameter base: open: $work/base.img: no such file"
mv away base.img
again
chmod 600 base.img
refused
has "$log" "parameter base: open: $work/base.img: permission denied"
chmod 644 base.img
again
mv base.img away
mkdir base.img
refused
has "$log" "parameter base: open: $work/base.img: is a directory"
rmdir base.img
ln -s /dev/zero base.img
refused
has "$log" "parameter base: open: $work/base.img: is a character device"
rm base.img
ln -s away base.img
again
alive "$client" || fail "the client has ended"
echo >go
wait "$client"
