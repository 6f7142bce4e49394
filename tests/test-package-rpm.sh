#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# make rpm builds packages that rpmlint has nothing against, and what is in them is
# what the packages promise. The versions in packaging/ are those of the plugin and
# of what it is built with.

TMPDISK_TEST_TIMEOUT=900
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
requires make rpmbuild rpmlint
[ -e "$builddir/Makefile" ] || skip "needs a configured tree"
use_go
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' plugin/version.go)
spec=packaging/nbdkit-tmpdisk-go-plugin.spec
has "$spec" "Version:        $version"
has "$spec" " - $version-1"
grep -q "^nbdkit-plugin-tmpdisk-go ($version-" packaging/debian/changelog ||
    fail "packaging/debian/changelog has another version"
has "$spec" "golang >= $(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)"
has packaging/debian/control "golang-any (>= 2:$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)~)"
has "$spec" "bundled(golang(golang.org/x/sys)) = $(sed -n 's/.*x\/sys v//p' go.mod)"

at_exit "rm -rf '$builddir/rpm'"
make -C "$builddir" rpm >"$work/make.log" 2>&1 || fail "make rpm"
mapfile -t rpms < <(find "$builddir/rpm" -name '*.rpm')
[ "${#rpms[@]}" -ge 2 ] || fail "packages: ${rpms[*]}"
rpmlint -c packaging/rpmlint.toml "${rpms[@]}" >"$work/rpmlint.log" 2>&1 ||
    fail "rpmlint: $(cat "$work/rpmlint.log")"
has "$work/rpmlint.log" "0 errors, 0 warnings"
rpm -qpl "$builddir"/rpm/RPMS/*/nbdkit-tmpdisk-go-plugin-"$version"-*.rpm |
    grep -v '/usr/share/doc/' | sed 's|/usr/lib[^ ]*/nbdkit/|PLUGINS/|' | LC_ALL=C sort >"$work/list"
diff -u - "$work/list" <<END || fail "other files (+)"
/etc/nbdkit-tmpdisk
/etc/nbdkit-tmpdisk/exports.d
/etc/nbdkit-tmpdisk/exports.d/swap.conf.example
/etc/nbdkit-tmpdisk/nbdkit-tmpdisk.conf
/usr/lib/systemd/system/nbdkit-tmpdisk.service
/usr/lib/systemd/system/nbdkit-tmpdisk.socket
/usr/lib/sysusers.d/nbdkit-tmpdisk.conf
/usr/lib/tmpfiles.d/nbdkit-tmpdisk.conf
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/LICENSE.golang-x-sys
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/PATENTS.golang-x-sys
/usr/share/man/man1/nbdkit-tmpdisk-go-plugin.1
PLUGINS/plugins/nbdkit-tmpdisk-go-plugin.so
END
