#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What a command writes on standard error forges no line of the log, and turns no
# writing round.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016 # the command's own
serve "$plugin" size=1M command='printf "bad\nnbdkit: error: forged \342\200\256 \033[31m\n" >&2; exit 1'
refused
wait_for 10 grep -qF 'bad\nnbdkit: error: forged \u202e' "$log" || fail "not in the log, or not escaped"
! grep -q '^nbdkit: error: forged' "$log" || fail "a forged line"
! grep -qP '[^\x20-\x7e\x{fffd}]' "$log" || fail "something that cannot be seen"
