#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A name with the addresses of several servers, as the manual describes it: if the
# first one refuses, libnbd and qemu are served by the next. qemu that connects again
# by itself goes on with a fresh disk of another server, without an error.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

requires qemu-io nbdinfo getent
for n in 2 3; do
    serve_at "$n" "$plugin" size=12M type=swap
done
printf '192.0.2.1%s disks.test\n' 1 2 3 >hosts
echo 'hosts: files' >nsswitch.conf
echo 'multi on' >host.conf
# named COMMAND...: run it where disks.test has three addresses.
named() {
    # shellcheck disable=SC2016 # for sh
    (inside "$ns" unshare -m sh -ec 'for file in hosts nsswitch.conf host.conf; do
        mount --bind "$file" "/etc/$file"; done; exec "$@"' sh "$@")
}

named getent ahosts disks.test | grep STREAM >addresses
has addresses 192.0.2.13
[[ $(head -n 1 addresses) = 192.0.2.11\ * ]] || fail "another address is first: $(cat addresses)"
[ "$(named nbdinfo --size nbd://disks.test/)" = 12582912 ] || fail "libnbd"
[ "$(named qemu-io -f raw -c length nbd://disks.test/)" = "12 MiB" ] || fail "qemu"

mkfifo commands
named qemu-io --image-opts driver=nbd,server.type=inet,server.host=disks.test,server.port=10809,reconnect-delay=60 \
    <commands >qemu.log 2>&1 &
qemu=$!
at_exit "exec 3>&-; wait $qemu || :"
exec 3>commands
echo 'write -P 0x41 1M 4k' >&3
wait_for 20 grep -q 'wrote 4096/4096' qemu.log || fail "qemu does not write"
kill_at 2
echo 'read -P 0 1M 4k' >&3
wait_for 20 grep -q 'read 4096/4096' qemu.log || fail "qemu does not go on: $(cat qemu.log)"
! grep -iE 'fail|error' qemu.log || fail "qemu has noticed"
