# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of one type= each: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# check_type TYPE SIZE LABEL BLKID-TYPE CHECKER...: a client of type=TYPE with
# this size, and label= unless LABEL is empty, must see what blkid calls
# BLKID-TYPE with that label, and CHECKER must find no fault in it.
check_type() {
    local type=$1 size=$2 label=$3 want=$4 got
    shift 4
    echo "type=$type size=$size label=$label"
    serve "$plugin" type="$type" size="$size" ${label:+label="$label"}
    rm -f disk.img
    nbdcopy "$uri" disk.img
    stop_server "$server"
    got=$(tag disk.img TYPE)
    [ "$got" = "$want" ] || fail "blkid: got type $got, want $want"
    got=$(tag disk.img LABEL)
    [ "$got" = "$label" ] || fail "blkid: got label $got, want $label"
    "$@" disk.img || fail "$1 found faults"
}

# clean TYPE FILE: the type's own checkers find no fault.
clean() {
    case $1 in
    ext?) e2fsck -fn "$2" ;;
    xfs) xfs_repair -n -f "$2" ;;
    btrfs) btrfs check --readonly "$2" ;;
    f2fs) fsck.f2fs --dry-run "$2" ;;
    vfat) fsck.fat -n "$2" ;;
    exfat) fsck.exfat -n "$2" ;;
    ntfs) ntfsfix -n "$2" && ntfsinfo -fm "$2" ;;
    minix) fsck.minix -f "$2" ;;
    swap) swaplabel "$2" ;;
    esac >check.log 2>&1 || {
        cat check.log
        fail "the checker found faults in $2"
    }
}

# check_options TYPE SIZE TEXT PATTERN PROGRAM...: two clients of mkfs-options=TEXT have
# clean disks, each with an identity of its own, and PROGRAM says PATTERN of both. They
# are made from one run of mkfs, unless $each says that it runs for each disk. Further
# parameters are in the array $more.
more=()
check_options() {
    local type=$1 size=$2 text=$3 pattern=$4 disk
    shift 4
    echo "type=$type mkfs-options=$text ${more[*]}"
    serve "$plugin" type="$type" size="$size" mkfs-options="$text" "${more[@]}"
    for disk in one two; do
        rm -f "$disk"
        nbdcopy "$uri" "$disk"
    done
    stop_server "$server"
    [ "$(grep -c 'mkfs runs for each disk' "$log")" -eq "${each:-0}" ] || {
        cat "$log"
        fail "the log says whether mkfs runs for each disk: want ${each:-0} times"
    }
    for disk in one two; do
        [ "$(tag "$disk" TYPE)" = "$type" ] || fail "blkid: got type $(tag "$disk" TYPE)"
        clean "$type" "$disk"
        "$@" "$disk" >said.log 2>&1 || :
        grep -Eq -e "$pattern" said.log || {
            cat said.log
            fail "the options have no effect: $1 does not say $pattern"
        }
    done
    [ "$type" = minix ] || [ "$(tag one UUID)" != "$(tag two UUID)" ] || fail "both have the UUID $(tag one UUID)"
}

# mounts TYPE: one and two can be mounted at the same time, and are clean after that.
mounts() {
    local disk
    if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || ! grep -qw "$1" /proc/filesystems; then
        echo "not mounted: needs root, loop devices and $1"
        return
    fi
    mkdir -p mnt.one mnt.two
    for disk in one two; do
        mount -t "$1" -o loop "$disk" "mnt.$disk"
        at_exit "! mountpoint -q mnt.$disk || umount mnt.$disk"
    done
    for disk in one two; do
        mkdir "mnt.$disk/dir"
        echo "$disk" >"mnt.$disk/dir/file"
        ln "mnt.$disk/dir/file" "mnt.$disk/link"
    done
    umount mnt.one mnt.two
    for disk in one two; do
        clean "$1" "$disk"
        mount -t "$1" -o loop,ro "$disk" "mnt.$disk"
        has "mnt.$disk/link" "$disk"
        umount "mnt.$disk"
    done
}
