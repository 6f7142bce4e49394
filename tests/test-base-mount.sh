#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel mounts the disks of four clients over one ext4 image at once. Each changes,
# renames, deletes and trims files, finds after a remount what it left, and e2fsck finds
# no fault. A partition of an image likewise, by nbdkit's filter. The images never change.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires loop fuse nbdfuse kernel:ext4 e2fsck fstrim sfdisk filter:partition filter:log

# attach N: mount a new client's disk on mnt.N. Sets $loop and $fuse.
attach() {
    mkdir "fuse.$1" "mnt.$1"
    nbdfuse "fuse.$1/disk" "$uri" &
    fuse=$!
    at_exit "! mountpoint -q fuse.$1 || umount -l fuse.$1"
    wait_for 20 test -e "fuse.$1/disk"
    loop=$(losetup -f --show "fuse.$1/disk")
    at_exit "! mountpoint -q mnt.$1 || umount mnt.$1; losetup -d $loop 2>/dev/null || :"
    mount -t ext4 "$loop" "mnt.$1"
}

# use N LOOP: the checks of one client.
use() {
    local dir=mnt.$1 loop=$2 i
    (cd "$dir" && sha256sum --quiet -c ../base.sums)
    for i in {1..40}; do
        case $(((i + $1) % 4)) in
        0) rm "$dir/dir.$((i % 3))/$i" ;;
        1) mv "$dir/dir.$((i % 3))/$i" "$dir/moved by $1 $i" ;;
        2) head -c 777 /dev/urandom | dd of="$dir/dir.$((i % 3))/$i" bs=1 seek=3333 conv=notrunc status=none ;;
        esac
        [ "$((i % 8))" -ne 0 ] || sync -f "$dir"
    done
    mv "$dir/dir.1" "$dir/renamed.$1"
    head -c 9000000 /dev/urandom >"$dir/new.$1"
    rm "$dir/large"
    sync -f "$dir"
    fstrim "$dir"
    head -c 3000000 /dev/urandom >"$dir/after the trim"
    (cd "$dir" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$dir.sums"
    [ "$(wc -l <"$dir.sums")" -eq 32 ]
    umount "$dir"
    e2fsck -fn "$loop"
    mount -t ext4 "$loop" "$dir"
    (cd "$dir" && sha256sum --quiet -c "../$dir.sums")
    umount "$dir"
    e2fsck -fn "fuse.$1/disk"
}

# clients: four at once at $uri.
clients() {
    local n loop fuse pids=() loops=() fuses=()
    for n in 1 2 3 4; do
        attach "$n"
        use "$n" "$loop" >"use$n.log" 2>&1 &
        pids+=($!) loops+=("$loop") fuses+=("$fuse")
    done
    for n in 1 2 3 4; do
        wait "${pids[n - 1]}" || fail "client $n: $(cat "use$n.log")"
        losetup -d "${loops[n - 1]}"
        umount "fuse.$n"
        wait "${fuses[n - 1]}"
    done
}

# fill LOOP: put the files there that each client finds.
fill() {
    local i
    mkdir mnt
    mount -t ext4 "$1" mnt
    mkdir mnt/dir.{0,1,2}
    for i in {1..40}; do
        head -c $((i * 5000)) /dev/urandom >"mnt/dir.$((i % 3))/$i"
    done
    head -c 20000000 /dev/urandom >mnt/large
    (cd mnt && find . -type f -exec sha256sum {} +) >base.sums
    umount mnt
    rmdir mnt
}

truncate -s 100M base.img
mkfs.ext4 -q -F base.img
loop=$(losetup -f --show base.img)
fill "$loop"
losetup -d "$loop"
sha256sum base.img >sums
serve "$plugin" base=base.img size=110M
clients
stop_server "$server"
sha256sum --quiet -c sums || fail "the base has changed"

echo "a partition"
rm -rf fuse.* mnt.* ./*.sums base.img
truncate -s 120M base.img
printf 'start=2048,size=204800\nstart=206848\n' | sfdisk -q base.img
loop=$(losetup -f --show -o 1M --sizelimit 100M base.img)
mkfs.ext4 -q "$loop"
fill "$loop"
losetup -d "$loop"
sha256sum base.img >sums
serve --filter=partition --filter=log "$plugin" base=base.img partition=1 logfile=requests.log
clients
grep -Eq '(Trim|Zero) ' requests.log || fail "no trim has come: the test tests nothing"
stop_server "$server"
sha256sum --quiet -c sums || fail "the base has changed"
