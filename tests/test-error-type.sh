#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# An unknown filesystem is refused with an error that names the program that
# is missing.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

serve "$plugin" size=10M type=nosuchfs
refused
has "$log" mkfs.nosuchfs
