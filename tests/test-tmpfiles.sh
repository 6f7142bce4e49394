#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# systemd-tmpfiles, which removes old files from /var/tmp and /tmp, leaves sessions,
# templates and disks in the making alone.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires systemd-tmpfiles nbdsh
chmod 755 "$work"
mkdir -p root/etc root/usr/lib/tmpfiles.d root/var/tmp root/tmp
cp "$top_srcdir/packaging/systemd/tmpfiles.conf" root/usr/lib/tmpfiles.d/nbdkit-tmpdisk.conf
grep '^x ' root/usr/lib/tmpfiles.d/nbdkit-tmpdisk.conf |
    diff <(sed -n 's/^ \(x .*\)/\1/p' "$top_srcdir/nbdkit-tmpdisk-plugin.pod") - ||
    fail "the manual (<) and the package (>) say different things"
# What systemd has for these directories, but by a time that can be made up.
cat >root/usr/lib/tmpfiles.d/tmp.conf <<'END'
e /tmp - - - mM:10d
e /var/tmp - - - mM:30d
END
echo "nbdkit-tmpdisk:x:999:999::/:/bin/sh" >root/etc/passwd
echo "nbdkit-tmpdisk:x:999:" >root/etc/group
for dir in var/tmp tmp; do
    # A session, and a template, that wait.
    # shellcheck disable=SC2016 # for the command and nbdkit's shell
    TMPDIR=$work/root/$dir nbdkit -U - "$plugin" size=1M command=: template-dir="$work/root/$dir" \
        session-grace=1h session-dir="$work/root/$dir" --run 'export unixsocket
        /usr/bin/nbdsh -c "import os
h.set_export_name(\"one/token\")
h.connect_unix(os.environ[\"unixsocket\"])
h.pwrite(b\"x\", 0)"'
    # A disk in the making: its name is that of a directory of the plugin's.
    mkdir "root/$dir/nbdkit-tmpdisk-0123456789abcdef0123"
    touch "root/$dir/nbdkit-tmpdisk-0123456789abcdef0123/disk"
    [ "$(find "root/$dir" -name '*.disk' | wc -l)" -eq 1 ] || fail "no session"
    mkdir "root/$dir/other"
    touch "root/$dir/other/file"
done
find root/var/tmp root/tmp ! -path '*other*' | LC_ALL=C sort >before
find root/var/tmp root/tmp -mindepth 1 -exec touch -d '99 days ago' {} +
systemd-tmpfiles --root="$work/root" --clean >tmpfiles.log 2>&1 || fail "systemd-tmpfiles"
find root/var/tmp root/tmp | LC_ALL=C sort | diff before - || fail "gone (<), or not cleaned (>)"
[ "$(wc -l <before)" -ge 16 ] || fail "too few files: $(cat before)"
