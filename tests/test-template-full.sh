#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template-dir that is too full for the template keeps nothing, which is
# logged once, and clients get the disks that were made. When there is room, a
# template is kept.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

mounted dir 20M mkfs.ext4 -q -F -m 0
templates=$work/dir
private=$templates/nbdkit-tmpdisk-templates-0
chmod 700 "$templates"
head -c 10M /dev/urandom >dir/fill
# shellcheck disable=SC2016 # for the command
args=(size=16M template-dir="$templates" command='
    printf hello >"$disk" && head -c 12M /dev/urandom >>"$disk" && truncate -s "$size" "$disk"')
serve "$plugin" "${args[@]}"
begins hello
begins hello
has "$log" "parameter template-dir: keep template: $private/"
has "$log" "no space left"
[ "$(grep -c 'keep template' "$log")" -eq 1 ] || fail "not logged once"
only_templates 0
rm dir/fill
keeps() {
    begins hello && [ -n "$(find "$private" -name '*[0-9a-f]' -size +1M)" ]
}
wait_for 60 keeps || fail "no template though there is room"
begins hello
only_templates 1

# A TMPDIR that is smaller than the template will do: disks share it.
stop_server "$server"
small_tmpdir 8M
serve "$plugin" "${args[@]}"
begins hello
begins hello
only_templates 1
