#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A TMPDIR that is missing, or is no directory, is an error that names it;
# once it is there, clients are served.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export TMPDIR=$work/absent
serve "$plugin" size=10M
refused
has "$log" "$work/absent"
mkdir absent
exercise
rmdir absent
touch absent
: >"$log"
refused
has "$log" "$work/absent"
