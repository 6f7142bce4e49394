#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What one client wrote is gone for the next one.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M
nbdsh -u "$uri" -c 'h.pwrite(b"secret!!" * 8192, 5 << 20)' -c 'h.shutdown()'
nbdcopy "$uri" disk.img
if grep -q 'secret!!' disk.img; then
    fail "the next client read it"
fi
[ "$(tag disk.img TYPE)" = ext4 ]
