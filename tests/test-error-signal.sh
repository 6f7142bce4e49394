#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command that is killed: the error names the signal, nothing is left, and
# the server goes on.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

touch fails
serve "$plugin" size=10M command="
    if [ -e '$work/fails' ]; then
        echo 'last words' >&2; kill -KILL \$\$
    fi
    mkfs.ext4 -q -F \"\$disk\"
"
refused
grep -Eqi 'signal.*(9|kill)|killed' "$log" || fail "the signal is not named"
has "$log" "last words"
rm fails
exercise
