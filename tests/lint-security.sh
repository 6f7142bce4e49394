#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# SECURITY.md and the manual page's section have the same headings.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

sed -n 's/^### //p' "$top_srcdir/SECURITY.md" >md
sed -n '/^=head1 SECURITY/,/^=head1 ENV/s/^B<\([^>]*\)\.>.*/\1/p' \
    "$top_srcdir/nbdkit-tmpdisk-plugin.pod" >pod
[ "$(wc -l <md)" -gt 5 ] || fail "no headings found in SECURITY.md"
diff -u md pod || fail "SECURITY.md (-) and the manual page (+) differ"
