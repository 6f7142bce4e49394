#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-tmpdisk-top --help, its manual page and its table have the same options and
# columns, and its version is the plugin's.

# shellcheck source=top.sh
. "$(dirname "$0")/top.sh"

pod=$top_srcdir/nbdkit-tmpdisk-top.pod
"$top" --help >help
sed -n 's/^  \(--[a-z]*\).*/\1/p' help | sort >options
sed -n '/^=head1 OPTIONS/,/^=head1 KEYS/s/^=item B<\(--[a-z]*\)>.*/\1/p' "$pod" | sort >documented
[ "$(wc -l <options)" -ge 7 ] || fail "no options in --help"
diff -u options documented || fail "--help (-) and the manual page (+) differ"

sed -n '/^Columns: /s/Columns: \(.*\)\./\1/p' help | tr -d ' ' | tr ',' '\n' | sort >columns
sed -n '/^=head1 COLUMNS/,/^=head2/{/^=item/p}' "$pod" | grep -o 'B<[^>]*>' |
    sed 's/B<\(.*\)>/\1/' | sort >documented
diff -u columns documented || fail "the columns of --help (-) and of the manual page (+) differ"
mkdir empty
"$top" --once empty | grep -v '^#' | tr -s ' ' '\n' | tr '[:upper:]' '[:lower:]' | sort >titles
diff -u columns titles || fail "the columns of --help (-) and of the table (+) differ"

version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' "$top_srcdir/plugin/version.go")
[ "$("$top" --version)" = "nbdkit-tmpdisk-top $version" ] || fail "$("$top" --version) is not $version"
