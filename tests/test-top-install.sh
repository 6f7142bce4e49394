#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# make install puts nbdkit-tmpdisk-top into bindir, so that it runs from there, and
# its manual page beside the plugin's.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make
[ -e "$builddir/Makefile" ] || skip "needs a configured tree"
make -s -C "$builddir" install DESTDIR="$work/root" >make.log 2>&1 || fail "make install"
top=$(find root -path '*/bin/nbdkit-tmpdisk-top')
[ -n "$top" ] || fail "not installed"
"$top" --version
find root -path '*/man1/nbdkit-tmpdisk-top.1' | grep . || fail "no manual page"
