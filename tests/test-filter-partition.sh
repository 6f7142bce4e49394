#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# --filter=partition serves one partition of a disk that the command has
# partitioned, and --filter=offset the same range of it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires filter:partition filter:offset sfdisk
# shellcheck disable=SC2016 # for the command
script='printf "start=2048,size=20480\n" | sfdisk -q "$disk" &&
        mkfs.ext4 -q -F -E offset=1048576 "$disk" 10M'
serve --filter=partition "$plugin" size=20M partition=1 command="$script"
exercise
serve --filter=offset "$plugin" size=20M offset=1M range=10M command="$script"
exercise
