#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The Go tests of the bindings, a module of its own.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
cd nbdkit
"$GO" test -timeout=1h ./...
