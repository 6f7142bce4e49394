# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests that mount a disk with the kernel: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# mount_and_compare TYPE SIZE CHECKER...: a disk of that type, attached through
# nbdfuse and a loop device, holds files over an unmount, gives space back on
# fstrim, and CHECKER finds no fault in it.
mount_and_compare() {
    local type=$1 size=$2 sum
    shift 2
    requires loop fuse nbdfuse "kernel:$type"
    serve "$plugin" size="$size" type="$type"
    attach "$uri"

    mount -t "$type" "$loop" mnt
    mkdir mnt/dir
    head -c 20000000 /dev/urandom >mnt/dir/random
    head -c 5000000 /dev/zero >mnt/zero
    ln -s dir/random mnt/link
    sum=$(sha256sum <mnt/dir/random)
    umount mnt

    mount -t "$type" "$loop" mnt
    [ "$(sha256sum <mnt/link)" = "$sum" ] || fail "other data after a remount"
    cmp -n 5000000 mnt/zero /dev/zero
    rm mnt/zero
    sync -f mnt
    umount mnt
    "$@" "$loop" || fail "$1 found faults"
}
