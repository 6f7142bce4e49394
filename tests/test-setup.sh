#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# quickstart and check on a machine where something is missing: one sentence
# says what to do about Go, packages are named with their purpose, and nothing
# asks for root while nothing is missing.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir bin old broken
for program in bash env sed awk sort head cat id; do
    ln -s "$(command -v "$program")" bin/
done
# fake DIRECTORY NAME CODE: a program of that name.
fake() {
    printf '#!/bin/sh\n%s\n' "$3" >"$1/$2"
    chmod +x "$1/$2"
}
# shellcheck disable=SC2016 # for the fakes
{
    fake bin sudo 'exec "$@"'
    fake bin apt-get 'echo "apt-get $*" >>"$WITNESS"'
    fake bin apt-cache 'echo "  Candidate: 2:1.19~1"'
    fake old go 'echo go1.19.8'
    fake broken go 'echo "go: download of a toolchain: no network" >&2; exit 1'
}
export WITNESS=$work/witness
# setup PATH CODE: run CODE after setup.sh, with nothing else in PATH.
setup() {
    (cd "$top_srcdir" && PATH=$1 bash -c '
        . build-aux/setup.sh
        PATH=${PATH%%:/usr/local/sbin*}
        '"$2") >out 2>&1
}

if setup "$work/bin" find_go; then
    fail "find_go found one where there is none"
fi
has out "this machine has none"
if setup "$work/bin:$work/old" find_go; then
    fail "find_go took a Go of 2022"
fi
has out "go1.19.8"
has out "/usr/local/go/bin first in PATH"
if setup "$work/bin:$work/broken" find_go; then
    fail "find_go took a Go that fails"
fi
has out "go: download of a toolchain: no network"
has out "what it said is above"
# shellcheck disable=SC2016 # for the inner shell
setup "$work/bin" 'install_missing "bash bash run this"'
[ ! -e witness ] || fail "it called: $(cat witness)"
if setup "$work/bin" 'install_missing "no-such-tool some-package a good reason"'; then
    fail "it claims to have installed some-package"
fi
has out "no-such-tool (package some-package): a good reason"
has out "Still missing"
has witness "install --no-install-recommends some-package"
