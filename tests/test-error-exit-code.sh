#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command that fails: its client is refused, and the server tells the exit
# code and the end of what the command wrote to standard error. The server
# goes on.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

touch fails
serve "$plugin" size=10M command="
    echo 'on standard output'
    if [ -e '$work/fails' ]; then
        seq 100000 >&2; echo 'no more coffee' >&2; exit 42
    fi
    mkfs.ext4 -q -F \"\$disk\"
"
refused
has "$log" "exit code 42"
has "$log" "no more coffee"
has "$log" "command"
if grep -q "on standard output" "$log"; then
    fail "the command's standard output went to the server's"
fi
[ "$(wc -c <"$log")" -lt 65536 ] || fail "the whole of standard error was kept"
rm fails
exercise
