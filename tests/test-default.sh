#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Without type= a client sees an ext4 filesystem of the size asked for.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
serve "$plugin" size=100M
nbdsh -u "$uri" -c - <<'PYTHON'
assert h.get_size() == 100 * 1024 * 1024, h.get_size()
PYTHON
nbdcopy "$uri" disk.img
[ "$(tag disk.img TYPE)" = ext4 ]
