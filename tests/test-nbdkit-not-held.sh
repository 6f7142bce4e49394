#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A plugin that could not hold Go's start back says so and is not used. For the
# test it is linked without what does that, as a Go that starts otherwise would
# make it be.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

cat >overlay.json <<END
{"Replace": {"$top_srcdir/nbdkit/callbacks.go": "$work/callbacks.go"}}
END
sed 's/-Wl,--wrap=pthread_create//
    s/^.*#cgo CFLAGS: /&-D__real_pthread_create=pthread_create /' \
    "$top_srcdir/nbdkit/callbacks.go" >callbacks.go
! cmp -s "$top_srcdir/nbdkit/callbacks.go" callbacks.go || fail "nothing replaced"
go_plugin examples/minimal -overlay "$work/overlay.json"

config_fails "cannot be put off until after nbdkit's fork" ./minimal.so
