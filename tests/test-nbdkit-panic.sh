#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A panic in any callback is logged with its stack and is an error for the
# client whose callback it is; others do not notice.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty

good() {
    export=good client 'assert h.pread(512, 0) == bytes(512)'
}

# faulty_client CODE: what happens to a client of the export that goes wrong.
faulty_client() {
    export=faulty client "
import errno
def eio(f, *args, **opt):
    try:
        f(*args, **opt)
    except nbd.Error as ex:
        assert ex.errnum == errno.EIO, ex
    else:
        raise SystemExit('no error')
$1
assert h.pread(512, 0) == bytes(512) if '$at' != 'pread' else True
h.shutdown()"
}

panics() {
    at=$1
    [ "$(grep -c "$at: panic: on purpose" "$log")" -ge 1 ] ||
        { cat "$log" && fail "$at: no panic in the log"; }
    has "$log" "faulty.go:"
    good || fail "$at: the other clients noticed"
    stop_server "$server" child
}

for at in get_size block_size can_write can_flush is_rotational can_trim \
    can_zero can_fast_zero can_extents can_fua can_multi_conn can_cache open; do
    FAULTY=$at:panic serve ./faulty.so
    uri="nbd+unix:///faulty?socket=$sock" refused
    panics $at
done
while read -r at code; do
    FAULTY=$at:panic serve ./faulty.so
    faulty_client "$code"
    panics "$at"
done <<'END'
pread eio(h.pread, 512, 0)
pwrite eio(h.pwrite, bytes(512), 0)
flush eio(h.flush)
trim eio(h.trim, 512, 0)
zero eio(h.zero, 512, 0)
cache eio(h.cache, 512, 0)
close pass
END

at=extents
FAULTY=$at:panic serve ./faulty.so
status=0
nbdinfo --map "nbd+unix:///faulty?socket=$sock" 2>map.err || status=$?
[ "$status" -ne 0 ] || fail "extents: no error"
has map.err "Input/output error"
panics $at

at=export_description
FAULTY=$at:panic serve ./faulty.so
nbdinfo "nbd+unix:///faulty?socket=$sock" >info
has info "export-size: 1048576"
panics $at

at=default_export
FAULTY=$at:panic serve ./faulty.so
uri="nbd+unix:///?socket=$sock" refused
panics $at

at=list_exports
FAULTY=$at:panic serve ./faulty.so
! nbdinfo --list "nbd+unix:///?socket=$sock" >list 2>&1 || fail "$at: no error"
panics $at

at=preconnect
FAULTY=$at:panic serve ./faulty.so
refused
refused
has "$log" "preconnect: panic: on purpose"
stop_server "$server" child

# What comes last cannot fail any more.
for at in cleanup unload; do
    FAULTY=$at:panic serve ./faulty.so
    good
    stop_server "$server" child
    has "$log" "$at: panic: on purpose"
done

FAULTY=dump_plugin:panic nbdkit --dump-plugin ./faulty.so >dump 2>"$log"
has dump name=faulty
has "$log" "dump_plugin: panic: on purpose"
