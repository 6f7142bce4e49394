#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A plugin made with the bindings serves in every mode of nbdkit, by itself and
# below filters.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin examples/ramdisk
cat >use.py <<'END'
import os
h.connect_uri(os.environ["uri"])
assert h.get_size() == 1 << 20, h.get_size()
h.pwrite(b"ramdisk!" * 512, 8192)
assert h.pread(4104, 8188) == bytes(4) + b"ramdisk!" * 512 + bytes(4)
h.trim(1 << 20, 0)
assert h.pread(1 << 20, 0) == bytes(1 << 20)
h.shutdown()
END
use() {
    uri=$uri nbdsh -c - <use.py
}

serve ./ramdisk.so 1M
use
serve_daemon ./ramdisk.so 1M
use
nbdkit -U - ./ramdisk.so 1M --run 'export uri; nbdsh -c - <use.py'
nbdkit -f -U - ./ramdisk.so 1M --run 'export uri; nbdsh -c - <use.py'
sed 's/h.connect_uri.*/h.connect_command(["nbdkit", "-s", ".\/ramdisk.so", "1M"])/' \
    use.py | nbdsh -c -

uri="nbd+unix:///?socket=$work/activated"
cat >activate.py <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("activated")
s.listen(5)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp("nbdkit", ["nbdkit", "-P", "activated.pid", "./ramdisk.so", "1M"])
END
/usr/bin/python3 activate.py &
server=$!
at_exit "stop_server $server child"
wait_for 10 test -s activated.pid || fail "no pid file"
use

uri="nbd+unix:///?socket=$work/child"
sh -c 'nbdkit --exit-with-parent -f -U child -P child.pid ./ramdisk.so 1M & wait' &
parent=$!
wait_for 10 test -s child.pid || fail "no pid file"
use
kill -KILL "$parent"
wait_for 10 gone "$(cat child.pid)" || fail "the server did not end with its parent"

if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$TMPDISK_TEST_DIR"
    chmod 1777 "$work"
    serve_daemon -u nobody ./ramdisk.so 1M
    use
fi

requires filter:cow filter:blocksize filter:stats
serve --filter=stats --filter=cow --filter=blocksize ./ramdisk.so 1M \
    statsfile=stats minblock=512
use
