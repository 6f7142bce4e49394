#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# go vet has nothing to say about either module.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
"$GO" vet ./...
(cd nbdkit && "$GO" vet ./...)
