#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A filesystem that is mounted elsewhere on the machine when a command starts
# can be unmounted while the command runs: the command does not hold it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop mkfs.ext4
truncate -s 10M other.img
mkfs.ext4 -q -F other.img
loop=$(losetup -f --show other.img)
at_exit "losetup -d $loop"
mkdir other
mount "$loop" other
mkfifo go
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=10M work="$work" \
    command='touch "$work/runs"; read -r line <"$work/go"; mkfs.ext4 -q -F "$disk"'
nbdinfo --size "$uri" &
client=$!
at_exit 'mountpoint -q other && umount other || :'
wait_for 10 test -e runs || fail "the command does not run"
umount other
# Exclusive use of the device is only possible when nothing has it mounted.
unused() { /usr/bin/python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)' "$loop"; }
unused || held=1
echo >go
wait "$client"
[ -z "${held-}" ] || fail "it was held as long as the command ran"
