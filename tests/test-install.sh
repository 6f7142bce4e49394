#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# make install puts the plugin and its manual page where they belong below
# DESTDIR, nbdkit runs it from there, and make uninstall removes both. Nobody but the
# owner can change what make install-service puts there, whatever the umask.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make
[ -e "$builddir/Makefile" ] || skip "needs a configured tree"
run_make() { make -s -C "$builddir" "$@" DESTDIR="$work/root" >>make.log 2>&1; }
run_make install
name=$(plugin_name)
so=$(find root -name "nbdkit-$name-plugin.so")
[ -n "$so" ] || fail "no plugin installed"
nbdkit --dump-plugin "$work/$so" | grep -x "name=$name"
find root -path "*/man1/nbdkit-$name-plugin.1" | grep . || fail "no manual page"
run_make uninstall
left=$(find root -type f)
[ -z "$left" ] || fail "left by make uninstall: $left"
rm -r root
(
    umask 002
    run_make install-service
    umask 077
    run_make install-service prefix=/private sysconfdir=/private/etc
)
[ "$(find root -name 'nbdkit-tmpdisk.service' | wc -l)" -eq 2 ] || fail "no unit"
open=$(find root -path '*nbdkit-tmpdisk*' -perm /022)
[ -z "$open" ] || fail "others can change: $open"
closed=$(find root/private -path '*nbdkit-tmpdisk*' ! -perm -go+r)
[ -z "$closed" ] || fail "others cannot read: $closed"
exports=$(find root -name exports.d ! -path 'root/private/*')
nbdkit -U - "$plugin" size=1M type=swap --run true export-dir="$work/$exports"
