#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every Go file is as gofmt writes it.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
gofmt=$("$GO" env GOROOT)/bin/gofmt
# What go itself leaves out is not ours: vendor, and names that begin with . or _.
mapfile -t files < <(find . -name '[._]?*' -prune -o -name vendor -prune -o -name '*.go' -print)
[ "${#files[@]}" -gt 100 ] || fail "found only ${#files[@]} files"
unformatted=$("$gofmt" -l "${files[@]}")
[ -z "$unformatted" ] || fail "run gofmt -w on: $unformatted"
