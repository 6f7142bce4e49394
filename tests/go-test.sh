#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The Go tests of the plugin's own packages.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
"$GO" test -timeout=1h ./...
