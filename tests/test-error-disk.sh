#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command that leaves no disk, or something that cannot be one: each is
# refused with an error that names the disk, and nothing is left.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M command="
    rm \"\$disk\"
    case \$(cat '$work/case') in
    gone) ;;
    directory) mkdir -p \"\$disk/with/files\"; touch \"\$disk/with/files/x\" ;;
    closed) mkdir -p \"\$disk/with/files\"; chmod 0 \"\$disk/with\" ;;
    fifo) mkfifo \"\$disk\" ;;
    dangling) ln -s /nonexistent/disk \"\$disk\" ;;
    loop) ln -s disk \"\$disk\" ;;
    chardev) ln -s /dev/null \"\$disk\" ;;
    good) truncate -s 10M \"\$disk\"; mkfs.ext4 -q -F \"\$disk\" ;;
    esac
"
for case in gone directory closed fifo dangling loop chardev; do
    echo "$case" | tee case
    : >"$log"
    refused
    grep -q 'error: .*disk' "$log" || fail "$case: no error that names the disk"
done
echo good >case
exercise
