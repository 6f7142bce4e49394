#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A release has every file of the tree, and the version, which is written in one
# place, is the same everywhere. There is none where git cannot say when it was made, or
# where tar fails.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires make git
[ -e "$builddir/Makefile" ] || skip "needs a configured tree"
git -C "$top_srcdir" rev-parse --git-dir >/dev/null 2>&1 || skip "needs a git checkout"
make -s -C "$builddir" distdir distdir="$work/dist" >make.log 2>&1 || fail "make distdir"
missing=0
while IFS= read -r -d '' file; do
    if [ "$file" != .gitignore ] && [ -e "$top_srcdir/$file" ] && [ ! -e "dist/$file" ]; then
        echo "not in a release: $file"
        missing=1
    fi
done < <(git -C "$top_srcdir" ls-files -z)
[ "$missing" -eq 0 ] || fail "Makefile.am does not find them"
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' "$top_srcdir/plugin/version.go")
has "$top_srcdir/NEWS" "$version"
grep -qx "VERSION = $version" "$builddir/Makefile" || fail "configure has another version"
! grep -F "$version" "$top_srcdir/nbdkit-tmpdisk-plugin.pod" ||
    fail "the manual has a version of its own"

# without PROGRAM TEXT: make dist fails, and says TEXT, if PROGRAM fails. The make that
# runs this test has SOURCE_DATE_EPOCH set.
without() {
    mkdir "$1"
    printf '#!/bin/sh\necho "%s: broken" >&2\nexit 1\n' "$1" >"$1/$1"
    chmod +x "$1/$1"
    ! PATH=$work/$1:$PATH env -u SOURCE_DATE_EPOCH make -s -C "$builddir" distdir="$work/release" dist-gzip >"$1.log" 2>&1 || fail "make dist succeeds without $1"
    has "$1.log" "$2"
    has "$1.log" "$1: broken"
    [ ! -e release.tar.gz ] || fail "a tarball without $1"
}
without git "safe.directory"
without tar ""
