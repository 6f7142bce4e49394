#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# systemd finds no fault in the example units, they stay as closed as they are,
# and nbdkit takes the command line that is in them.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires systemd-analyze filter:limit
cp "$top_srcdir"/examples/nbdkit-tmpdisk.* .
systemd-analyze verify --man=no ./nbdkit-tmpdisk.s* >verify.log 2>&1 ||
    fail "verify: $(cat verify.log)"
# It only warns of what it does not know.
if grep nbdkit-tmpdisk verify.log; then
    fail "warnings"
fi
# The exposure is 0.9 with systemd 252; newer ones know more to look at.
systemd-analyze security --offline=true --threshold=15 ./nbdkit-tmpdisk.service \
    >security.log 2>&1 || fail "security: $(tail -n 1 security.log)"

command=$(sed -n 's/^ExecStart=//p' nbdkit-tmpdisk.service)
read -ra words <<<"${command//%%/%}"
[ "${words[0]} ${words[2]}" = "nbdkit tmpdisk" ] || fail "other words: ${words[*]}"
words[2]=$plugin
# shellcheck disable=SC2016 # for the shell that nbdkit starts
"${words[@]}" -U "$work/sock" --run 'nbdsh -u "$uri" -c "print(h.get_size())"' >size
[ "$(cat size)" = $((16 << 30)) ] || fail "got $(cat size) bytes, want 16G"
