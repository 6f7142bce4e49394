#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The command gets every value as it was given, whatever quotes, newlines and
# shell syntax are in it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016,SC1003 # shell syntax that must not be run
values=("" " " "  a  b  " "it's" "'" "''''" '"' '$HOME' '$(id)' '`id`' '\' '\\' "a'\"b\\"
    $'\n' $'one\ntwo\n\n' $'\t\r\v' '!!' '*' '~' '#' ';' '&' '|' '-n' '--' "größe"
    $'\xff' "%s" "a=b" '${x:-y}')
for value in "${values[@]}"; do
    printf 'value %q\n' "$value"
    rm -f got
    # shellcheck disable=SC2016,SC1003 # for the command
    nbdkit -U - "$plugin" size=1M some_Var1="$value" out="$work/got" \
        command='printf %s "$some_Var1" >"$out"' --run 'nbdinfo --size "$uri"'
    printf %s "$value" | cmp - got || fail "not what was given"
done
