#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# TMPDIR may have any name: spaces, every kind of quote, a newline, shell
# syntax, a leading dash, non-ASCII and bytes that are not UTF-8.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016,SC2088 # shell syntax that must not be run
names=("two words" "it's" 'say "hi"' $'new\nline' 'a$(touch pwned)`touch pwned`;touch pwned'
    "back\\slash" "*?[a]" "-rf" "größe" $'\xff\xfe' $'tab\tand \r' "~root" "%s%n" "-")
for name in "${names[@]}"; do
    printf 'TMPDIR named %q\n' "$name"
    use_tmpdir "$name"
    # shellcheck disable=SC2016 # for the command
    serve "$plugin" size=10M command='
        mkfs.ext4 -q -F "$disk" && cp "$disk" "$disk.new" && mv "$disk.new" "$disk"'
    exercise
    stop_server "$server"
done
serve "$plugin" size=10M
exercise
found=$(find "$TMPDISK_TEST_DIR" / "$HOME" -maxdepth 1 -name pwned 2>/dev/null) || :
[ -z "$found" ] || fail "shell syntax in the name was run: $found"
