#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# make install puts the plugin and its manual page where they belong below
# DESTDIR, nbdkit runs it from there, and make uninstall removes both.

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
