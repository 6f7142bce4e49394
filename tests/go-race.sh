#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The same for the packages in pure Go, under the race detector.

TMPDISK_TEST_TIMEOUT=600 # which is three hours in all
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
use_go
"$GO" test -race -timeout=3h ./cmd/... ./tmpdisk/... ./shellquote/...
