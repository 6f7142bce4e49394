#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit serves after it has gone into the background, its default; three
# times in a row, because what goes wrong there goes wrong now and then.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

for _ in 1 2 3; do
    serve_daemon "$plugin" size=10M
    exercise
    stop_server "$server"
done
