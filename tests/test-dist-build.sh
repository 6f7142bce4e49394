#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A release that is made of a release is the same byte for byte. It builds without
# a network, and the plugin is the same wherever, whenever and by whom it is built.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make
[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
[ -e "$builddir/Makefile" ] || skip "needs a configured tree"
use_go
logged() {
    "$@" >"$work/step.out" 2>&1 || { cat "$work/step.out"; fail "$*"; }
}
# unpack TARBALL DIR: unpack and configure it there.
unpack() {
    mkdir "$work/$2"
    tar -xzf "$1" -C "$work/$2" --strip-components=1
    cd "$work/$2"
    logged ./configure --with-plugin-name=tmpdisk-go
}
# Whatever would fetch a module fails, even where namespaces are not permitted.
alone=(env GOPROXY=off GOMODCACHE="$work/none")
if unshare -rn true 2>/dev/null; then
    alone=(unshare -rn "${alone[@]}")
fi

version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' "$top_srcdir/plugin/version.go")
tarball=nbdkit-tmpdisk-plugin-$version.tar.gz
logged make -C "$builddir" dist
mv "$builddir/$tarball" "$work/"
tar -tzf "$work/$tarball" >"$work/list"
has "$work/list" "/vendor/golang.org/x/sys/LICENSE"

unpack "$work/$tarball" one
logged "${alone[@]}" GOCACHE="$work/cache1" make tmpdisk.so nbdkit-tmpdisk-go-plugin.1 nbdkit-tmpdisk-top
(
    umask 077
    export TZ=Pacific/Auckland
    unpack "$work/$tarball" "another, longer name"
    logged "${alone[@]}" make dist
    cmp "$tarball" "$work/$tarball" || fail "the release of a release differs"
    logged "${alone[@]}" GOCACHE="$work/cache2" make tmpdisk.so nbdkit-tmpdisk-go-plugin.1 nbdkit-tmpdisk-top
)
for file in tmpdisk.so nbdkit-tmpdisk-go-plugin.1 nbdkit-tmpdisk-top; do
    cmp "$work/one/$file" "$work/another, longer name/$file" || fail "$file differs"
done
chmod -R u+w "$work"
