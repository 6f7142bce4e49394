#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Random requests of every kind, alignment and size, 32 at once: a disk over a base always
# equals its model in memory. So it does behind filters, and where no request goes past
# Go. The base never changes.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires filter:truncate filter:blocksize
export uri base=base.img requests=2500

# image SIZE: base.img, of data and holes, that begin and end anywhere.
image() {
    size=$1 /usr/bin/python3 - <<'PYTHON'
import os, random
size = int(os.environ["size"])
with open("base.img", "wb") as f:
    while f.tell() < size:
        f.write(os.urandom(min(size - f.tell(), random.choice((1, 700, 4096, 30000, 300000)))))
        f.seek(min(size, f.tell() + random.choice((0, 5, 4096, 20000, 200000))))
    f.truncate(size)
PYTHON
    sum=$(sha256sum base.img)
}

# model TRIMS [OPTION...] PLUGIN ARGUMENT...
model() {
    serve "${@:2}"
    echo "nbdkit ${*:2}"
    trims=$1 nbdsh -c - <"$top_srcdir/tests/base-model.py"
    stop_server "$server"
    [ "$(sha256sum base.img)" = "$sum" ] || fail "the base has changed"
}

image 3000001
model exact "$plugin" base=base.img
model exact "$plugin" base=base.img size=3333333
model exact "$plugin" base=base.img client-iops=1000000
image 1000000
model exact "$plugin" base=base.img size=5M
model inexact --filter=truncate "$plugin" base=base.img size=1000100 round-down=512
model inexact --filter=blocksize "$plugin" base=base.img size=1049600 minblock=4k maxdata=32k
requests=500
for size in 1 4095 4097; do
    image "$size"
    model exact "$plugin" base=base.img
    model exact "$plugin" base=base.img size=10000
done
