#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What a command finds: $disk, a sparse file of $size bytes in a directory of
# mode 0700, type and label only if they were given, nothing on standard
# input.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016 # for the command
serve "$plugin" 10M out="$work/got" command='
    {
        stat -c "%s %b" "$disk"
        stat -c %a "$(dirname "$disk")"
        echo "size=$size label=${label-unset} type=${type-unset}"
        wc -c
        readlink /proc/self/fd/0
    } >"$out"
    mkfs.ext4 -q -F "$disk"'
exercise
cat >want <<'END'
10485760 0
700
size=10485760 label=unset type=unset
0
/dev/null
END
diff -u want got
