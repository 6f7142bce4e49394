#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A limit on the size of files (ulimit -f) keeps a server from starting whose disks go
# beyond it, and ends neither a server nor a command silently.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ulimit -f 2048
rejected 'parameter size: 1073741824 bytes: more than a file under .* can have' size=1G
# 1 MiB is within the limit, what the command then makes of it is not.
# shellcheck disable=SC2016 # for the command
serve "$plugin" size=1M command='mv "$disk" "$disk.x"; truncate -s 1M "$disk"; ln -f "$disk.x" "$disk"'
nbdsh -u "$uri" -c 'h.pwrite(b"x" * 65536, 0)' -c 'assert h.pread(1, 65535) == b"x"'
