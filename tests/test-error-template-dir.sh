#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template-dir that will not do ends nbdkit before it forks, with an error
# that says what is wrong with it, and nothing is made in it.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

# rejected TEXT PARAMETERS...
rejected() {
    local text=$1 mode status
    shift
    for mode in -f ''; do
        status=0
        # shellcheck disable=SC2086 # no argument if empty
        timeout 300 nbdkit $mode -U "$work/sock" -P "$work/pid" "$plugin" size=1M "$@" \
            2>err.log || status=$?
        [ "$status" -eq 1 ] || fail "status $status, want 1: nbdkit $mode $*"
        has err.log "$text"
        has err.log "error: "
        [ ! -e pid ] || fail "it wrote a pid file: nbdkit $mode $*"
    done
}
: >file
mkdir -m 777 open
mkdir -m 770 group
rejected "parameter template-dir: $work/no: no such file or directory: create it" template-dir=no
rejected "parameter template-dir: $work/file: not a directory" template-dir=file
rejected "parameter template-dir: empty" template-dir=
rejected "parameter template-dir: $work/open: mode 0777" template-dir=open
rejected "parameter template-dir: $work/group: mode 0770" template-dir=group
rejected "parameter template-keep: there is no such parameter any more" template-dir="$templates" template-keep=90d
rejected "parameter template-uuid: there is no such parameter any more" template-dir="$templates" template-uuid=same
[ -z "$(find open group "$templates" -mindepth 1)" ] || fail "something was made"

if [ "$(id -u)" -ne 0 ]; then
    mkdir -m 500 mine
    rejected "parameter template-dir: $work/mine: not writable by user" template-dir=mine
    rejected "not writable by user" template-dir=/usr
    exit 0
fi
mounted ro 1M mkfs.ext2 -q -F
mount -o remount,ro ro
rejected "parameter template-dir: $work/ro: read-only file system" template-dir=ro

# Root may become anybody (nbdkit -u), so that the owner is wrong is only known
# when the first disk is made.
chown 12345 "$templates"
serve "$plugin" size=1M command=: template-dir="$templates"
wait_for 10 grep -qF "$templates: owned by user 12345" "$log" || has "$log" "owned by user 12345"
refused
[ -z "$(ls -A "$templates")" ] || fail "something was made"
