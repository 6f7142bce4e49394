#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What configure is told (where nbdkit's headers are, flags for the compiler and
# the linker) is what make builds with, in a directory whose name has a space.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make readelf pkg-config
[ -e "$top_srcdir/configure" ] || skip "needs the configure script"
use_go
copy_tree "$work/a tree" --exclude=./Makefile --exclude=./config.status \
    --exclude=./tmpdisk.so
mkdir "$work/pc"
cp "$(pkg-config --variable=pcfiledir nbdkit)/nbdkit.pc" "$work/pc/"
cd "$work/a tree"
PKG_CONFIG_LIBDIR=$work/none ./configure PKG_CONFIG_PATH="$work/pc" \
    CFLAGS="-O1 -g3" LDFLAGS=-Wl,-z,now >"$work/configure.log" 2>&1 ||
    { cat "$work/configure.log"; fail "configure"; }
# A cache of its own: nothing that was built with other flags.
GOCACHE=$work/cache make tmpdisk.so >"$work/make.log" 2>&1 ||
    { cat "$work/make.log"; fail "make"; }
readelf -d tmpdisk.so >"$work/dynamic"
has "$work/dynamic" NOW
# -g3 leaves the names of macros.
readelf -W -S tmpdisk.so >"$work/sections"
has "$work/sections" .debug_macro
nbdkit --dump-plugin ./tmpdisk.so >"$work/dump"
has "$work/dump" name=tmpdisk
