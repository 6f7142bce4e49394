#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# command-user is refused before the fork where it would do harm, or could not
# work.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

bad() {
    local want=$1
    shift
    if nbdkit -f -U bad.sock "$plugin" size=10M "$@" 2>error.txt; then
        fail "accepted: $*"
    fi
    has error.txt "$want"
}

bad 'parameter command-timeout: "soon"' command-timeout=soon
bad 'parameter command-uids: there is no such parameter any more: use command-user=LOW-HIGH' command-uids=1234568000-1234568003
if [ "$(id -u)" -ne 0 ]; then
    bad 'parameter command-user: needs root' command-user=nobody
    bad 'parameter command-user: needs root' command-user=1234568000-1234568003
    exit 0
fi
bad 'parameter command-user: "root"' command-user=root
bad 'parameter command-user: "0"' command-user=0
bad 'parameter command-user: "no-such-user"' command-user=no-such-user
bad 'parameter command-user: "0-3"' command-user=0-3
bad 'parameter command-user: "7-"' command-user=7-
