#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A client whose disk is gone, because it came too late or others took its room,
# is refused and not given a fresh one, unless that is what session-lost= says.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

serve -v "$plugin" size=10M type=swap session-grace=1s
writes swap/late x
logged 'dropped: it waited longer than session-grace'
refuses swap/late
logged 'its disk is gone: it waited longer than session-grace'
logged 'give each boot of the client a token of its own'
refuses swap/late
fresh swap/other
stop_server "$server"
forget_sessions

serve -v "$plugin" size=10M type=swap session-grace=1s session-lost=fresh
writes swap/late x
logged 'dropped: it waited longer than session-grace'
fresh swap/late
logged 'a fresh disk (session-lost=fresh)'
stop_server "$server"
forget_sessions

# The oldest goes first, and one that is connected does not count.
serve -v "$plugin" size=10M type=swap session-grace=1h session-max=2
export log
talk <<'PYTHON'
stays = connect("swap/0")
stays.pwrite(b"0", 512 * 9)
for i in "123":
    c = connect("swap/" + i)
    c.pwrite(i.encode(), 512 * 9)
    c.shutdown()
    c = connect("swap/" + i)    # it is only back when the server has seen its end
    c.shutdown()
while "dropped: it had to make room" not in open(os.environ["log"]).read():
    time.sleep(0.05)
refused("swap/1")
want(connect("swap/2").pread(1, 512 * 9), b"2")
want(connect("swap/3").pread(1, 512 * 9), b"3")
want(stays.pread(1, 512 * 9), b"0")
PYTHON
