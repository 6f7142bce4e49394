#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# client-disks=2: a disk that waits for its client counts until it is dropped, and
# is one disk however many connections it has.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

# finally COMMAND...: it succeeds at last.
finally() {
    wait_for 20 "$@" 2>>refused.log || fail "never: $*"
}

serve -v "$plugin" size=10M type=swap client-disks=2 session-grace=1h
writes swap/one mine
writes swap/two other
refuses swap/three
refuses ''
finds swap/one mine
finds swap/two other
talk <<'PYTHON'
one = [connect("swap/one")]
for i in range(5):          # each takes over from the last
    one.append(connect("swap/one"))
    one[-1].pwrite(b"%d" % i, 0)
refused("swap/three")
two = connect("swap/two")
refused("")
for c in one:
    c.shutdown()
refused("swap/three")
PYTHON
stop_server "$server"
forget_sessions

# Waited too long; and to ask for what is lost takes no slot.
serve -v "$plugin" size=10M type=swap client-disks=2 session-grace=1s
writes swap/one mine
writes swap/two other
finally writes swap/three new
finally writes swap/four new
for i in 1 2 3 4 5; do
    refuses swap/one
done
finally writes swap/five new
finally writes swap/six new
stop_server "$server"
forget_sessions

# Put out by another one, of which one may wait.
serve -v "$plugin" size=10M type=swap client-disks=2 session-grace=1h session-max=1
for name in one two three four five; do
    finally writes "swap/$name" mine
done
finds swap/five mine
logged 'dropped'
talk <<'PYTHON'
c = connect("")     # beside the one that waits
refused("")
PYTHON
