#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit -u: templates belong to the user that the server has become, who needs
# a template-dir that it may write to.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires root
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work" "$TMPDIR"
uid=$(id -u nobody)

chown nobody "$templates"
serve_daemon -u nobody "$plugin" size=1M template-dir="$templates" word=hello command="$noting"
begins hello
begins hello
ran 1
private=$templates/nbdkit-tmpdisk-templates-$uid
only_templates 1
[ "$(stat -c '%u %a' "$private")" = "$uid 700" ] || fail "$(stat "$private")"
stop_server "$server"

# What root may write to but nobody may not is found out by the server itself.
chown root "$templates"
! timeout 300 nbdkit -f -u nobody -U "$work/sock" "$plugin" size=1M \
    template-dir="$templates" 2>err.log || fail "the server runs"
has err.log "parameter template-dir: $templates: not writable by user $uid"
