#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# SIGTERM while a command is blocked in the kernel, so that not even SIGKILL ends it, and
# while TMPDIR does not answer: the server ends, and says what it has left.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root loop mkfs.ext4 fsfreeze fuse bindfs

# Whoever writes to a filesystem that is frozen is blocked.
truncate -s 20M image
mkfs.ext4 -qF image
mkdir frozen
mount -o loop image frozen
at_exit "wait_for 10 umount '$work/frozen' 2>/dev/null"
at_exit "fsfreeze -u '$work/frozen' 2>/dev/null || :"
fsfreeze -f frozen
serve "$plugin" size=1M command="echo >'$work/frozen/file'"
nbdinfo "$uri" >info 2>&1 &
client=$!
blocked() { grep -q percpu_rwsem_wait /proc/[0-9]*/wchan 2>/dev/null; }
wait_for 30 blocked || fail "no command is blocked: $(ps -eo stat,args)"
kill -TERM "$server"
: >"stopped.$server"
wait_for 60 gone "$server" || fail "the server does not end"
wait "$server" || :
wait "$client" && fail "a client was served with no disk made"
has "$log" 'blocked in the kernel, still alive'
fsfreeze -u frozen
no_command() { ! pgrep -f frozen/file; }
wait_for 30 no_command

# What waits for a filesystem in user space ends with the server.
mkdir below mnt
bindfs -f -o fsname=tmpdisk-test,attr_timeout=0,entry_timeout=0 below mnt &
fuse=$!
at_exit "kill -CONT $fuse; fusermount3 -u '$work/mnt'; wait $fuse || :"
wait_for 10 mountpoint -q mnt
mkdir -m 700 mnt/tmp
# shellcheck disable=SC2016 # for the command
TMPDIR=$work/mnt/tmp serve "$plugin" size=1M command='truncate -s 1M "$disk"'
nbdinfo "$uri" >info # the server has started, and the disk is to be gone:
empty() { [ -z "$(ls mnt/tmp)" ]; }
wait_for 10 empty
kill -STOP "$fuse"
nbdinfo "$uri" >info 2>&1 &
client=$!
asks() { grep -q fuse /proc/"$server"/task/*/stack; }
wait_for 30 asks
kill -TERM "$server"
: >"stopped.$server"
wait_for 60 gone "$server" || fail "the server does not end"
wait "$server" || :
wait "$client" && fail "a client was served with no disk made"
has "$log" "leaves behind what hangs: the making of disks in $work/mnt/tmp"
