#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The disks of three clients, one the original of the template and two clones
# where that is worth it, can be mounted on one machine at the same time.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires loop
for type in ext4 xfs btrfs; do
    requires "kernel:$type"
    serve "$plugin" size=400M type="$type" template-dir="$templates"
    for n in 1 2 3; do
        nbdcopy "$uri" "$type$n.img"
        mkdir "$type$n"
        mount -t "$type" -o loop "$type$n.img" "$type$n"
        at_exit "umount '$work/$type$n'"
        echo "$n" >"$type$n/file"
    done
    for n in 1 2 3; do
        [ "$(cat "$type$n/file")" = "$n" ] || fail "$type: disk $n is another"
    done
done
