#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With nbdkit -r clients may read their disk, and nothing else.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve -r "$plugin" size=10M
nbdsh -u "$uri" -c - <<'PYTHON'
assert h.is_read_only()
assert h.pread(2, 0x438) == b"\x53\xef", "no ext4 superblock"
h.set_strict_mode(0)
for name, attempt in (("write", lambda: h.pwrite(bytes(512), 1024)),
                      ("zero", lambda: h.zero(512, 1024)),
                      ("trim", lambda: h.trim(512, 1024))):
    try:
        attempt()
    except nbd.Error as ex:
        assert ex.errno in ("EPERM", "EROFS", "EINVAL", "EOPNOTSUPP"), (name, ex.errno)
    else:
        raise SystemExit(name + " was accepted")
assert h.pread(2, 0x438) == b"\x53\xef", "changed"
PYTHON
