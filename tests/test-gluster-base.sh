#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Two servers share a GlusterFS volume, on which their base is. One is cut off, and the
# other killed; the client finds what it had flushed, and the base where it has not
# written, even when the base has been replaced.

# shellcheck source=gluster.sh
. "$(dirname "$0")/gluster.sh"

volume
head -c 1000100 /dev/urandom >base.img
cp base.img a/base.img
wait_for 10 cmp base.img b/base.img
for where in a b; do
    serve "$plugin" base="$work/$where/base.img" size=1M session-sync=yes session-grace=1h \
        session-dir="$work/$where/sessions"
    ln -sf "$sock" "$where.sock"
    ln -sf "$pidfile" "$where.pid"
done
clients <<'PYTHON'
model = bytearray(open("base.img", "rb").read().ljust(SIZE, b"\0"))
def write(h, data, at):
    h.pwrite(data, at)
    model[at:at + len(data)] = data
h = connect("a.sock", "base/one")
want_disk(h.pread(SIZE, 0), model, "a fresh disk")
for at in range(0, SIZE - 10000, 30000):
    write(h, b"by a" * 500, at)
h.zero(5000, 100000)
model[100000:105000] = bytes(5000)
h.flush()
want_disk(h.pread(SIZE, 0), model, "written")

# a is cut off, with a write on its way.
shell("cut_off a")
h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"late" * 1024)), 4096 * 200)
os.rename("b/base.img", "b/old.img")
with open("b/base.img", "wb") as f:
    f.write(b"another")
h2 = connect("b.sock", "base/one")
want_disk(h2.pread(SIZE, 0), model, "at b, when a was cut off")
write(h2, b"by b" * 700, 12345)
h2.flush()
shell("connected_again a")
time.sleep(2)
want_disk(h2.pread(SIZE, 0), model, "when a is back")
shell("heal")

# b is killed.
h = None
shell("kill_at b")
h = connect("a.sock", "base/one")
want_disk(h.pread(SIZE, 0), model, "at a, when b was killed")
write(h, b"by a" * 700, 543210)
h.flush()
h.shutdown()
h = connect("a.sock", "base/one")
want_disk(h.pread(SIZE, 0), model, "in the end")
h.shutdown()
PYTHON
