#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# TMPDIR and template-dir on a filesystem that gives open files another name when
# they are removed: clients are served, the log says so once, and nothing stays
# when they have gone or, after kill -9, when the server has started again.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires fuse bindfs
mkdir below mnt
bindfs -o fsname=tmpdisk-test below mnt
at_exit "fusermount3 -u '$work/mnt'"
mkdir -m 700 mnt/tmp mnt/templates
export TMPDIR=$work/mnt/tmp

empty() {
    [ -z "$(ls -A "$TMPDIR")" ]
}

# client: one in the background that has its disk until the file end is written.
client() {
    rm -f connected end
    mkfifo end
    nbdsh -u "$uri" -c 'h.pwrite(b"x" * 512, 0)' -c 'open("connected", "w").close()' \
        -c 'open("end").read()' &
    client=$!
    wait_for 20 test -e connected || fail "the client did not connect"
}

# served PARAMETER...: what these make is served, and nothing of it stays.
served() {
    echo "$*"
    serve "$plugin" size=10M "$@"
    exercise
    exercise
    client
    : >end
    wait "$client"
    wait_for 10 empty || fail "left when the client has gone: $(find "$TMPDIR")"
    client
    kill -KILL "$client"
    wait "$client" || :
    wait_for 10 empty || fail "left when the client was killed: $(find "$TMPDIR")"
    [ "$(grep -c 'has a name as long as it is open' "$log")" -eq 1 ] || fail "not one line in the log"
    stop_server "$server"
    wait_for 10 empty || fail "left when the server has ended: $(find "$TMPDIR")"
}

served type=ext4
served type=ext4 spare-disks=2
# shellcheck disable=SC2016 # for the command
make='mkfs.ext4 -q -F "$disk"'
served command="$make"
# shellcheck disable=SC2016
served command="$make"'
    sub=${disk%/*}/sub && mkdir "$sub" && mv "$disk" "$sub/d" && ln -s sub/d "$disk"'
served command="$make" template-dir="$work/mnt/templates"
! find mnt/templates -name '.fuse_hidden*' | grep . || fail "left in template-dir"

serve "$plugin" size=10M
client
: >"stopped.$server"
kill -KILL "$server"
wait_for 10 gone "$server" || fail "still there"
: >end
wait "$client" || :
serve "$plugin" size=10M
exercise
wait_for 10 empty || fail "left by kill -9 and a new start: $(find "$TMPDIR")"
