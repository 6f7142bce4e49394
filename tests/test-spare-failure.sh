#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A spare disk that cannot be made is logged once, a client that comes then is
# given its own attempt and error, and the server goes on until it works again.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

flag=$PWD/works
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M spare-disks=3 make-jobs=2 flag="$flag" \
    command='[ -e "$flag" ] || { echo "cannot make $disk" >&2; exit 9; }'
wait_for 20 grep -q 'spare disk not made' "$log" || fail "no word about spares"
has "$log" "exit code 9: cannot make"
refused
refused
touch "$flag"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
lines=$(grep -c 'spare disk not made' "$log")
[ "$lines" -eq 1 ] || fail "logged $lines times, want once"
