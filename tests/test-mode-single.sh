#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit -s talks NBD on its own standard input and output: a command that
# writes to the one and reads the other must not get at them.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

nbdsh -c - <<PYTHON
h.connect_command(["nbdkit", "-s", "$plugin", "size=10M", """command=
    echo spoils the protocol
    cat >"\$disk.in"
    [ -s "\$disk.in" ] && exit 9
    rm "\$disk.in"
    mkfs.ext4 -F "\$disk"
"""])
assert h.get_size() == 10 << 20
assert h.pread(2, 0x438) == b"\x53\xef", "no ext4 superblock"
h.pwrite(b"x" * 512, 512)
assert h.pread(512, 512) == b"x" * 512
h.shutdown()
PYTHON
