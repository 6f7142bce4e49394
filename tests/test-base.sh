#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With base=FILE each client's disk is FILE as it is, and with a larger size= zeroes
# behind it; what a client writes nobody else ever sees, and FILE stays as it was.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires qemu-img
# use [SIZE]: two clients at once find base.img at $uri, then zeroes up to SIZE, and each
# keeps what it writes. A third finds base.img again.
use() {
    nbdsh -c - <<PYTHON
base = open("base.img", "rb").read()
size = ${1:-0} or len(base)
fresh = base + bytes(size - len(base))
def connect():
    h = nbd.NBD()
    h.connect_uri("$uri")
    assert h.get_size() == size, h.get_size()
    assert not h.is_read_only() and h.can_zero() and h.can_trim() and h.can_fast_zero()
    assert not h.can_multi_conn()
    return h
def read(h):
    return b"".join(h.pread(min(1 << 20, size - i), i) for i in range(0, size, 1 << 20))
clients = [connect(), connect()]
places = {0, size // 2, max(0, len(base) - 1), size - 1}
for n, h in enumerate(clients):
    assert read(h) == fresh, n
    for at in places:
        h.pwrite(b"%d" % n, at)
for n, h in enumerate(clients):
    want = bytearray(fresh)
    for at in places:
        want[at:at+1] = b"%d" % n
    assert read(h) == want, n
assert read(connect()) == fresh
PYTHON
}
for size in 1 511 4095 4096 4097 3000001 10485760; do
    head -c "$size" /dev/urandom >base.img
    sum=$(sha256sum base.img)
    # An image that nobody may write to will do.
    chmod 444 base.img
    serve "$plugin" base=base.img
    use
    qemu-img compare -f raw -F raw base.img "$uri"
    stop_server "$server"
    for more in 1 511 4096 5000; do
        serve "$plugin" base="$work/base.img" size="$((size + more))"
        use "$((size + more))"
        stop_server "$server"
    done
    serve "$plugin" base=base.img size="$size"
    use
    stop_server "$server"
    [ "$(sha256sum base.img)" = "$sum" ] || fail "the base has changed"
    rm -f base.img
done
: >base.img
serve "$plugin" base=base.img size=10000
use 10000
