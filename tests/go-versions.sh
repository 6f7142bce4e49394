#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# How the bindings start Go depends on Go's own start. So what depends on that is
# tested with each Go release that the README names: the bindings' Go tests, and
# every mode of nbdkit, with a plugin that is refused if it cannot work.
#
# Without arguments that is one release of each; the Go tool fetches those that
# are not there, as modules. With arguments, these. It takes minutes.

TMPDISK_TEST_TIMEOUT=600 # which is three hours in all
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -z "${TMPDISK_SLOW_DONE-}" ] || skip "done before, by another user"
[ $# -gt 0 ] || set -- go1.23.12 go1.24.13 go1.25.7 go1.26.0
use_go
for version; do
    export GOTOOLCHAIN=$version
    got=$("$GO" env GOVERSION) || skip "cannot fetch $version"
    [ "$got" = "$version" ] || fail "got $got, want $version"

    (cd nbdkit && "$GO" test -timeout=3h .) || fail "$version: go test"
    plugin=$work/$version.so
    "$GO" build -buildvcs=false -buildmode=c-shared -o "$plugin" ./plugin
    # What is in the file counts, not what was asked for.
    "$GO" version "$plugin"
    "$GO" version "$plugin" | grep -qF ": $version" || fail "not built with $version"
    for test in tests/test-mode-*.sh tests/test-nbdkit-{modes,restart,config-error,panic}.sh; do
        status=0
        env -u TMPDISK_TEST_DIR TMPDISK_PLUGIN="$plugin" \
            bash "$test" >"$work/output" 2>&1 || status=$?
        case $status in
        0 | 77) echo "$version: ${test##*/}: $status" ;;
        *) cat "$work/output" && fail "$version: $test" ;;
        esac
    done
done
