#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every parameter in --help has its item in the manual page, and every item
# under PARAMETERS is in --help.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

nbdkit "$plugin" --help | sed -n 's/^\[\{0,1\}\([A-Za-z-]*\)=.*<.*/\1/p' | sort >help
# disk= is documented because it is refused.
sed -n '/^=head1 PARAMETERS/,/^=head1 EXAMPLES/s/^=item \[\{0,1\}B<\([A-Za-z-]*\)=>.*/\1/p' \
    "$top_srcdir/nbdkit-tmpdisk-plugin.pod" | grep -vx disk | sort >pod
for key in size type label command NAME; do
    grep -qx "$key" help || fail "--help does not list $key"
done
diff -u help pod || fail "--help (-) and the manual page (+) differ"
