#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# make rpm builds packages that rpmlint has nothing against, and what is in them is
# what the packages promise. The versions in packaging/ are those of the plugin and
# of what it is built with.

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
grep -o '[a-z]*\.[^ ]*/[^ ]* v[0-9][^ ]*' go.mod | grep -v libguestfs | while read -r module release; do
    has "$spec" "bundled(golang($module)) = ${release#v}"
done

at_exit "rm -rf '$builddir/rpm'"
make -C "$builddir" rpm >"$work/make.log" 2>&1 || fail "make rpm"
mapfile -t rpms < <(find "$builddir/rpm" -name '*.rpm')
[ "${#rpms[@]}" -ge 2 ] || fail "packages: ${rpms[*]}"
rpmlint -c packaging/rpmlint.toml "${rpms[@]}" >"$work/rpmlint.log" 2>&1 ||
    fail "rpmlint: $(cat "$work/rpmlint.log")"
has "$work/rpmlint.log" "0 errors, 0 warnings"
rpm -qpl "$builddir"/rpm/RPMS/*/nbdkit-tmpdisk-go-plugin-"$version"-*.rpm |
    grep -v -e '/usr/share/doc/' -e '/\.build-id' | sed 's|/usr/lib[^ ]*/nbdkit/|PLUGINS/|' | LC_ALL=C sort >"$work/list"
diff -u - "$work/list" <<END || fail "other files (+)"
/etc/nbdkit-tmpdisk
/etc/nbdkit-tmpdisk/exports.d
/etc/nbdkit-tmpdisk/exports.d/swap.conf.example
/etc/nbdkit-tmpdisk/nbdkit-tmpdisk.conf
/usr/bin/nbdkit-tmpdisk-top
/usr/lib/systemd/system/nbdkit-tmpdisk.service
/usr/lib/systemd/system/nbdkit-tmpdisk.socket
/usr/lib/sysusers.d/nbdkit-tmpdisk.conf
/usr/lib/tmpfiles.d/nbdkit-tmpdisk.conf
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/github.com-gdamore-encoding-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/github.com-gdamore-tcell-v2-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/github.com-lucasb-eyer-go-colorful-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/github.com-mattn-go-runewidth-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/github.com-rivo-uniseg-LICENSE.txt
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-sys-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-sys-PATENTS
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-term-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-term-PATENTS
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-text-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-text-PATENTS
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-time-LICENSE
/usr/share/licenses/nbdkit-tmpdisk-go-plugin-$version/golang.org-x-time-PATENTS
/usr/share/man/man1/nbdkit-tmpdisk-go-plugin.1
/usr/share/man/man1/nbdkit-tmpdisk-top.1
PLUGINS/plugins/nbdkit-tmpdisk-go-plugin.so
END
