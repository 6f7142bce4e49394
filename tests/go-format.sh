#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every Go file is as gofmt writes it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
gofmt=$("$GO" env GOROOT)/bin/gofmt
unformatted=$("$gofmt" -l cmd nbdkit plugin shellquote tmpdisk)
[ -z "$unformatted" ] || fail "run gofmt -w on: $unformatted"
