#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Commands run where there is no /dev/fd. Where there is no /proc they cannot,
# and the log says so when the server starts, and for each client.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root
# nbdkit in a mount namespace of its own, without what $hide takes away.
cat >nbdkit <<'SCRIPT'
#!/bin/sh
exec unshare -m sh -e -c "$HIDE"'
PATH=$OLD_PATH; exec nbdkit "$@"' sh "$@"
SCRIPT
chmod +x nbdkit
OLD_PATH=$PATH
export OLD_PATH HIDE
PATH=$work:$PATH

HIDE='mkdir -p dev; mount -t tmpfs tmpfs dev; mknod -m 666 dev/null c 1 3
mknod -m 666 dev/urandom c 1 9; mount --move dev /dev; [ ! -e /dev/fd ]'
serve "$plugin" size=10M
exercise
stop_server "$server" child
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M command='mkfs.ext4 -q -F "$disk"'
exercise
stop_server "$server" child

HIDE='mount -t tmpfs tmpfs /proc'
serve "$plugin" size=10M
missing='/proc/self/fd: no such file or directory: commands need /proc'
has "$log" "$missing"
lines=$(grep -c "$missing" "$log")
refused
[ "$(grep -c "$missing" "$log")" -gt "$lines" ] || fail "the client's error does not say it"
