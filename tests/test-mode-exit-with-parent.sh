#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With --exit-with-parent the server ends when its parent is killed.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

uri="nbd+unix:///?socket=$work/sock"
sh -c 'nbdkit --exit-with-parent -f -U "$1/sock" -P "$1/pid" "$2" size=10M & wait' \
    sh "$work" "$plugin" &
parent=$!
wait_for 10 test -s pid || fail "no pid file"
server=$(cat pid)
exercise
kill -KILL "$parent"
wait_for 10 gone "$server" || fail "the server did not end with its parent"
