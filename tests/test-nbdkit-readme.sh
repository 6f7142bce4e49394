#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The plugin that nbdkit/README.md shows is complete, has fewer than 40 lines, is
# the example in nbdkit/examples/minimal, and works in an empty directory with
# nothing but the commands that the README gives.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

use_go
cd "$work"
readme=$top_srcdir/nbdkit/README.md

# block LANGUAGE N: the Nth code block of that language.
block() {
    awk -v begin="^ *\`\`\`$1\$" -v n="$2" '/^ *```$/ { on = 0 } on { print }
        $0 ~ begin && ++i == n { on = 1 }' "$readme"
}
mkdir module
cd module
block go 1 >minimal.go
[ "$(wc -l <minimal.go)" -lt 40 ] || fail "the plugin has 40 lines or more"
diff minimal.go "$top_srcdir/nbdkit/examples/minimal/minimal.go" ||
    fail "the README's plugin is not the example"
block sh 1 | sed "s|/path/to/nbdkit|$top_srcdir/nbdkit|" >run.sh
has run.sh "go build"
GOFLAGS="${GOFLAGS-} -buildvcs=false" sh -e run.sh >out
has out "export-size: 1048576"
