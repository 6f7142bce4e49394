#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template-dir that somebody else could have changed is not used: clients are
# turned away, the log says what is wrong with what, and when it is put right
# the server goes on.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

serve "$plugin" size=1M template-dir="$templates" word=hello command="$noting"
begins hello
begins hello
only_templates 1
template=$private/$(ls "$private")

# tampered TEXT SPOIL UNDO: after SPOIL, an error with TEXT; none after UNDO.
tampered() {
    : >"$log"
    eval "$2"
    refused
    has "$log" "$1"
    has "$log" "template-dir: $private"
    eval "$3"
    begins hello
}
tampered "has mode 0755" "chmod 755 '$private'" "chmod 700 '$private'"
tampered "is a symbolic link" "mv '$private' x; ln -s '$work/x' '$private'" \
    "rm '$private'; mv x '$private'"
tampered "is not a directory" "mv '$private' x; : >'$private'" \
    "rm '$private'; mv x '$private'"
tampered "has mode 0620" "chmod 620 '$template'" "chmod 600 '$template'"
tampered "is a symbolic link" "mv '$template' x; ln -s '$work/x' '$template'" \
    "rm '$template'; mv x '$template'"
tampered "is not a regular file" "mv '$template' x; mkfifo -m 600 '$template'" \
    "rm '$template'; mv x '$template'"
if [ "$(id -u)" -eq 0 ]; then
    tampered "is owned by user 12345" "chown 12345 '$private'" "chown 0 '$private'"
    tampered "is owned by user 12345" "chown 12345 '$template'" "chown 0 '$template'"
fi
ran 1
