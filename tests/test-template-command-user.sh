#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With command-user=LOW-HIGH the template is the server's own, not the command's, and
# clones are made as usual. A built-in type has no template.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d" "$work"
chmod 711 "$TMPDIR"
uids=1234500000-1234500003

# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M template-dir="$templates" command-user=$uids word=hello \
    command='printf %s "$word" >"$disk"; truncate -s "$size" "$disk"'
begins hello
begins hello
only_templates 1
[ "$(stat -c '%u %a' "$private"/*)" = "0 600" ] || fail "$(stat "$private"/*)"

serve -v "$plugin" size=20M template-dir="$templates" command-user=$uids
for n in 1 2 3; do
    nbdcopy "$uri" disk$n
    e2fsck -fn disk$n >check.log 2>&1 || { cat check.log; fail "faults"; }
done
[ "$(for n in 1 2 3; do tag disk$n UUID; done | sort -u | wc -l)" -eq 3 ] || fail "the same UUID"
only_templates 1
