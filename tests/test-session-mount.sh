#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A tree is copied to a mounted ext4 whose client connects again while the server
# is restarted ten times: the filesystem has no fault, and no file another content.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires loop fuse nbdfuse filter:retry kernel:ext4 e2fsck
args=("$plugin" size=256M type=ext4 session-grace=1h session-dir="$sessions")
serve "${args[@]}"

# The client is nbdkit itself: its nbd plugin, which connects again.
nbdkit -f -P client.pid -U client.sock --filter=retry nbd socket="$sock" export=swap/one \
    retry=100 retry-delay=1 retry-exponential=no >client.log 2>&1 &
client=$!
at_exit "kill $client; wait $client || :"
wait_for 10 test -s client.pid
attach "nbd+unix:///?socket=$work/client.sock"
mount "$loop" mnt

mkdir tree
for i in {1..400}; do
    mkdir -p "tree/$((i % 20))"
    head -c $((i * 997)) /dev/urandom >"tree/$((i % 20))/$i"
done
(cd tree && find . -type f -exec sha256sum {} + | sort) >sums
{
    for i in tree/*; do
        cp -r "$i" mnt/
        sync -f mnt
    done
    : >copied
} &
copy=$!
at_exit "kill $copy 2>/dev/null || :"
busy=0
for ((i = 0; i < 10; i++)); do
    sleep 0.3
    [ -e copied ] || busy=$((busy + 1))
    if [ $((i % 2)) -eq 0 ]; then
        replace_server 1
    else
        kill_server
    fi
    again "${args[@]}"
done
wait "$copy" || fail "cp failed"
(cd mnt && find . -path ./lost+found -prune -o -type f -exec sha256sum {} + | sort) >got
umount mnt
e2fsck -fn "$loop" >fsck.log 2>&1 || fail "e2fsck: $(cat fsck.log)"
cmp sums got || fail "other files than were copied"
echo "copied over $busy of 10 restarts"
[ "$busy" -ge 3 ] || fail "the copy was too fast"
