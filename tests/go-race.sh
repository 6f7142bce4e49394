#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The same for the packages in pure Go, under the race detector.

TMPDISK_TEST_TIMEOUT=900
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
"$GO" test -race ./cmd/... ./tmpdisk/... ./shellquote/...
