#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template-dir that is too full for the template turns the client away with
# an error that says so, and keeps nothing; when there is room all is well.

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
refused
has "$log" "parameter template-dir: keep template: $private/"
has "$log" "no space left"
only_templates 0
refused
only_templates 0
rm dir/fill
begins hello
begins hello
only_templates 1

# A full TMPDIR is an error of the clone's, and leaves nothing either.
stop_server "$server"
small_tmpdir 8M
serve "$plugin" "${args[@]}"
refused
has "$log" "clone: "
has "$log" "no space left"
only_templates 1
