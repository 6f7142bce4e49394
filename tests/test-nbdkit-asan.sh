#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Under the address sanitizer neither the bindings nor the plugin touch memory
# that is not theirs, whatever clients do. (The race detector cannot be loaded
# into nbdkit.)

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

libasan=$("${CC:-gcc}" -print-file-name=libasan.so) || libasan=
[ "${libasan#/}" != "$libasan" ] || skip "needs libasan"

# It must be the first library of all. It keeps freed memory for a while, which
# is made short because the fuzz driver looks at how much there is.
cat >nbdkit <<SCRIPT
#!/bin/sh
export LD_PRELOAD=$libasan
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:quarantine_size_mb=8
exec /usr/bin/env PATH="\$OLD_PATH" nbdkit "\$@"
SCRIPT
chmod +x nbdkit
OLD_PATH=$PATH
export OLD_PATH
PATH=$work:$PATH

# At its end nbdkit hangs in libp11-kit, under this library, once it has logged
# an error of the C library's, with plugins in C as well. So it is not asked to.
unharmed() {
    alive "$server" || fail "the server is gone"
    ! grep AddressSanitizer "$log" || fail "see above"
    : >"stopped.$server"
    kill -KILL "$server"
    wait "$server" || :
}

go_plugin internal/testplugin/stress -asan
go_plugin internal/testplugin/direct -asan
go_plugin internal/testplugin/counts -asan
(
    use_go
    "$GO" build -buildvcs=false -asan -buildmode=c-shared -o "$work/tmpdisk.so" ./plugin
) || fail "go build ./plugin"

serve -t 16 ./stress.so
sock=$sock seconds=5 nbdsh -c - <"$top_srcdir/tests/stress.py"
unharmed

truncate -s 1M file
serve ./direct.so file=file
client 'assert h.pread(512, 0) == bytes(512)
for i in range(1000):
    h.pwrite(bytes([i % 256]) * 512, i * 512 % 65536)
    assert h.pread(512, i * 512 % 65536) == bytes([i % 256]) * 512
h.shutdown()'
unharmed

serve ./counts.so file=file
client 'gate = nbd.NBD()
gate.connect_uri("nbd+unix:///gate?socket=" + os.environ["sock"])
gate.pwrite((1 << 32).to_bytes(8, "little"), 0)
for i in range(1000):
    h.pwrite(bytes(512), i * 512 % 65536)
    h.pread(512, i * 512 % 65536)
gate.shutdown()
h.shutdown()'
unharmed

serve ./tmpdisk.so size=256M command='unset LD_PRELOAD; :'
/usr/bin/python3 "$top_srcdir/tests/fuzz.py" "$sock" "$server" 268435456 10 "$RANDOM$RANDOM"
unharmed
