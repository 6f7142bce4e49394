#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Exports are served over TLS, under the names that the exportname filter gives
# them, and only to those whom the ip filter lets in.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires psktool filter:exportname filter:ip

# is URI BYTES
is() {
    local got
    got=$(nbdinfo --size "$1") || fail "$1: refused"
    [ "$got" -eq "$2" ] || fail "$1: got $got bytes, want $2"
}

mkdir exports
printf 'size=1M\ntype=swap\nsession-grace=1h\n' >exports/a.conf
printf 'size=2M\ntype=swap\nexport-description=The second\n' >exports/b.conf

psktool -u client -p keys.psk >/dev/null
serve --tls=require --tls-psk=keys.psk "$plugin" export-dir=exports
nbds() { echo "nbds+unix://client@/$1?socket=$sock&tls-psk-file=$work/keys.psk"; }
is "$(nbds a)" 1048576
is "$(nbds b)" 2097152
is "$(nbds a/token)" 1048576
nbdinfo --list "$(nbds '')" >list
has list 'description: The second'
! nbdinfo --size "$(nbds c)" 2>/dev/null || fail "c: it was served"
! nbdinfo --size "nbd+unix:///a?socket=$sock" 2>/dev/null || fail "it was served without TLS"
stop_server "$server"

# Who asks for none gets a.
serve --filter=exportname "$plugin" export-dir=exports default-export=a
is "nbd+unix:///?socket=$sock" 1048576
is "nbd+unix:///b?socket=$sock" 2097152
stop_server "$server"

# b is neither listed nor served.
serve --filter=exportname "$plugin" export-dir=exports \
    exportname-list=explicit exportname=a exportname-strict=true
is "nbd+unix:///a?socket=$sock" 1048576
! nbdinfo --size "nbd+unix:///b?socket=$sock" 2>/dev/null || fail "b: it was served"
nbdinfo --list "nbd+unix:///?socket=$sock" >list
! grep -q 'export="b"' list || fail "b is listed"
stop_server "$server"

# -e is what clients of this --run are told to ask for, and no more.
# shellcheck disable=SC2016 # for nbdkit's shell
nbdkit -U - -e b "$plugin" size=3M type=swap export-dir=exports \
    --run 'nbdinfo --size "$uri"; nbdinfo --size "nbd+unix:///?socket=$unixsocket"' >sizes
printf '2097152\n3145728\n' | diff - sizes || fail "-e"

# A client that is not let in learns nothing, and costs no disk.
# shellcheck disable=SC2016 # for the command
serve --filter=ip "$plugin" size=1M export-dir=exports runs="$work/runs" \
    command='echo >>"$runs"' deny=anyunix
refuses ''
refuses a
refuses nothing
[ ! -e runs ] || fail "a disk was made for a client that was not let in"
