#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A base that is replaced by rename is the next client's, and those who are connected keep
# the old one. One that is changed in place, or cut, is said once in the log, with its name
# and the remedy. New clients get it as it is; whoever stands on what is missing gets an
# error there, never zeroes.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cat >common.py <<'PYTHON'
import os

SIZE = 300001


def put(n, size=SIZE, name="base.img"):
    data = (b"%07d\n" % n * (size // 8 + 1))[:size]
    with open(name, "wb") as f:
        f.write(data)
    return data


def connect():
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    return h


def is_all(h, want):
    assert h.get_size() == len(want), (h.get_size(), len(want))
    assert h.pread(len(want), 0) == want


def is_eio(call, *args):
    try:
        call(*args)
    except nbd.Error as ex:
        assert ex.errno == "EIO", ex
    else:
        raise SystemExit("%s%s: no error" % (call.__name__, args[-2:]))


def said(n, *texts):
    with open(os.environ["log"]) as f:
        lines = [l for l in f if all(t in l for t in texts)]
    assert len(lines) == n, (texts, lines)
PYTHON
export uri log
python() { nbdsh -c "exec(open('common.py').read())" -c -; }

echo "replaced by rename"
/usr/bin/python3 -c 'exec(open("common.py").read()); put(1)'
serve "$plugin" base=base.img
python <<'PYTHON'
old = (b"0000001\n" * SIZE)[:SIZE]
a, b = connect(), connect()
a.pwrite(b"mine", 50000)
new = put(2, SIZE + 5000, "new.img")
os.rename("new.img", "base.img")
c = connect()
is_all(c, new)
is_all(b, old)
is_all(a, old[:50000] + b"mine" + old[50004:])
# A write to part of a block takes the rest of it from where the client's disk stands.
for h, base in (b, old), (c, new):
    h.pwrite(b"x", 9000)
    is_all(h, base[:9000] + b"x" + base[9001:])
shorter = put(3, 70000, "new.img")
os.rename("new.img", "base.img")
is_all(connect(), shorter)
is_all(a, old[:50000] + b"mine" + old[50004:])
said(0, "base")
PYTHON
stop_server "$server"

echo "changed in place"
/usr/bin/python3 -c 'exec(open("common.py").read()); put(1)'
serve "$plugin" base=base.img
python <<'PYTHON'
a, b = connect(), connect()
a.pwrite(b"mine", 50000)
os.utime("base.img", (1, 1))
data = put(4, SIZE + 5000)
for _ in range(3):
    is_all(connect(), data)
assert a.get_size() == SIZE
assert a.pread(4, 50000) == b"mine"
said(1, os.getcwd() + "/base.img: changed in place", "rename it over")
said(1, "base")
data = put(5, 100000)
os.utime("base.img", (1, 1))
is_all(connect(), data)
said(2, os.getcwd() + "/base.img: changed in place", "rename it over")
PYTHON
stop_server "$server"

echo "cut"
/usr/bin/python3 -c 'exec(open("common.py").read()); put(1)'
serve "$plugin" base=base.img size=400000
python <<'PYTHON'
disk = put(1) + bytes(400000 - SIZE)
a, b, idle = connect(), connect(), connect()
a.pwrite(b"mine" * 1024, 200704)
b.pread(1, 0)  # from now on reads go past Go where they can
os.truncate("base.img", 150000)
for h in a, b, idle:
    is_eio(h.pread, 4096, 159744)  # a block that is missing
    is_eio(h.pread, 4096, 147456)  # half of one
    is_eio(h.pread, 400000, 0)
    is_eio(h.pread, 1, SIZE - 1)
    is_eio(h.pwrite, b"x", 250000)  # the rest of the block is not known
    is_eio(h.zero, 1, 250000)
    assert h.pread(147456, 0) == disk[:147456]
    assert h.pread(400000 - 303104, 303104) == disk[303104:]
    h.pwrite(b"y" * 8192, 245760)  # whole blocks
    assert h.pread(8192, 245760) == b"y" * 8192
    h.zero(4096, 262144)
    assert h.pread(4096, 262144) == bytes(4096)
assert a.pread(4096, 200704) == b"mine" * 1024
is_eio(b.pread, 4096, 200704)
said(1, os.getcwd() + "/base.img: clients get errors", "put the old one back", "renamed over it")
c = connect()
is_all(c, disk[:150000] + bytes(250000))
said(1, os.getcwd() + "/base.img: changed in place", "rename it over")
c.pwrite(b"z", 390000)
# The old one put back, and all is well again for those who stand on it.
with open("base.img", "r+b") as f:
    f.write(disk[:SIZE])
assert b.pread(SIZE - 270336, 270336) == disk[270336:SIZE]
PYTHON
stop_server "$server"
