#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The same for the packages in pure Go, under the race detector.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
use_go
"$GO" test -race -timeout=1h ./cmd/... ./tmpdisk/... ./shellquote/...
