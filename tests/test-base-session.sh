#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A session's disk over a base has all that was acknowledged, and the base where nothing
# was written: after reconnects and restarts, after kill -9 at any time and in any system
# call that a write makes, and when the base has been replaced or removed. What changes in
# place is never served.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires strace
strace -o /dev/null true 2>/dev/null || skip "may not trace"

# base: a new image that ends in the middle of a block.
base() {
    head -c 1500100 /dev/urandom >"$1"
}
base base.img
cp base.img model
truncate -s 2M model
args=("$plugin" base="$work/base.img" size=2M session-grace=1h session-dir="$sessions")

# client SECONDS: for so long, write at random to the session, and note in the file model
# what was acknowledged, and in doubt what may have been written.
client() {
    seconds=$1 talk <<'PYTHON' || :
import random
c = connect("base/one")
model, until = open("model", "r+b", buffering=0), time.monotonic() + float(os.environ["seconds"])
while time.monotonic() < until:
    at = random.randrange(2 << 20)
    data = random.randbytes(min(random.choice((1, 100, 512, 4096, 9000, 70000)), (2 << 20) - at))
    how = random.randrange(4)
    if how > 1:
        data = bytes(len(data))
    with open("doubt", "wb") as f:
        f.write(at.to_bytes(8, "big") + data)
    if how < 2:
        c.pwrite(data, at)
    elif how == 2:
        c.zero(len(data), at)
    else:
        c.trim(len(data), at)
    os.pwrite(model.fileno(), data, at)
    if random.randrange(10) == 0:
        c.flush()
    os.unlink("doubt")
c.shutdown()
PYTHON
}

# right: the session has what the model has. The request that was in doubt may have been
# carried out in part.
right() {
    talk <<'PYTHON' || fail "$1"
c = connect("base/one")
got, want_ = b"".join(c.pread(1 << 20, at) for at in (0, 1 << 20)), bytearray(open("model", "rb").read())
if os.path.exists("doubt"):
    doubt = open("doubt", "rb").read()
    at, new = int.from_bytes(doubt[:8], "big"), doubt[8:]
    for i, b in enumerate(new):
        if got[at + i] == b:
            want_[at + i] = b
    os.unlink("doubt")
if got != want_:
    first = next(i for i in range(len(got)) if got[i] != want_[i])
    sys.exit("other data than was acknowledged, first at %d" % first)
open("model", "wb").write(got)
PYTHON
}

all_traced() {
    ! grep -L '^TracerPid:.*[1-9]' "/proc/$server/task"/*/status | grep -q .
}

serve "${args[@]}"
client 1
right "reconnected"
[ -e "$(echo "$private"/*.base)" ] || fail "no link to the base"
stop_server "$server"
serve "${args[@]}"
right "restarted"

# Killed while the client works.
for seconds in 0.2 0.5 1 0.1; do
    (sleep "$seconds"; kill -KILL "$server") &
    client 20 2>/dev/null
    wait $!
    kill_server
    serve "${args[@]}"
    right "killed after $seconds s"
done

# The base goes away, and another one comes: those who stand on the old one go on.
mv base.img old.img
base new.img
mv new.img base.img
right "the base was replaced"
stop_server "$server"
serve "${args[@]}"
right "the base was replaced, restarted"
talk <<<'want(connect("base/two").pread(1500100, 0), open("base.img", "rb").read())'
rm old.img
client 1
right "the old base has no name but the link"
stop_server "$server"

# At each system call that changes a file.
killed=0
for sync in no yes; do
    for call in pwrite64 fallocate fdatasync linkat; do
        for n in 1 2 3 5 9; do
            serve "${args[@]}" session-sync=$sync
            strace -f -q -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" -p "$server" &
            tracer=$!
            wait_for 10 all_traced || fail "not traced"
            client 1 2>/dev/null
            # It may be killed now, while it lets the client's disk wait.
            : >"stopped.$server"
            kill -TERM "$server" 2>/dev/null || :
            wait_for 15 gone "$server" || fail "does not end"
            status=0
            { wait "$server" || status=$?; } 2>/dev/null
            [ "$status" -ne 137 ] || killed=$((killed + 1))
            wait "$tracer" || :
            serve "${args[@]}" session-sync=$sync
            right "killed at $call $n, session-sync=$sync"
            stop_server "$server"
        done
    done
done
[ "$killed" -ge 15 ] || fail "killed only $killed servers"

# What is written to in place is another image.
touch -d '2001-01-01' "$private"/*.base
serve "${args[@]}"
refuses base/one
logged "the image that it stood on (base=) is gone or has been changed"
forget_sessions
echo "$killed servers killed"
