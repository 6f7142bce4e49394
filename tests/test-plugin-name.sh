#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# configure --with-plugin-name names the installed file, the manual page, what
# the page says, and how the plugin calls itself.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make
[ -e "$top_srcdir/configure" ] || skip "needs the configure script"
use_go
copy_tree "$work/tree" --exclude=./Makefile --exclude=./config.status \
    --exclude=./tmpdisk.so --exclude='./*.1'
cd "$work/tree"
for name in yes -go go- a.b 'a b' ''; do
    ! ./configure --with-plugin-name="$name" >"$work/configure.log" 2>&1 ||
        fail "configure takes '$name' for a name"
    has "$work/configure.log" "letters, digits and inner hyphens"
done
./configure --with-plugin-name=tmpdisk-x2 >"$work/configure.log" 2>&1 ||
    { cat "$work/configure.log"; fail "configure"; }
make -s install DESTDIR="$work/root" >"$work/make.log" 2>&1 ||
    { cat "$work/make.log"; fail "make install"; }
cd "$work"
find root -type f -printf '%f\n' | LC_ALL=C sort >installed
printf '%s\n' nbdkit-tmpdisk-top{,.1} nbdkit-tmpdisk-x2-plugin.{1,so} | diff -u - installed ||
    fail "other files are installed (+)"
so=$(find "$work/root" -name '*.so')
nbdkit --dump-plugin "$so" >dump
has dump name=tmpdisk-x2

find root -name '*-plugin.1' -exec cat {} + | sed 's/\\-/-/g' >page
has page "nbdkit-tmpdisk-x2-plugin - "
has page "nbdkit tmpdisk-x2 [size=]SIZE"
has page "--filter=limit tmpdisk-x2 16G"
has page "nbdkit --version tmpdisk-x2"
has page "The nbdkit-tmpdisk-plugin authors"
if grep -E 'nbdkit(-| .* )tmpdisk( |-plugin)' page | grep -v 'authors'; then
    fail "these lines still have the old name"
fi
make -s -C tree uninstall DESTDIR="$work/root" >>make.log 2>&1
left=$(find root -type f)
[ -z "$left" ] || fail "left by make uninstall: $left"
