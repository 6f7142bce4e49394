#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A filesystem whose program is missing is refused at the start, with an error that
# names the program.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rejected 'mkfs.nosuchfs: program not found' size=10M type=nosuchfs
