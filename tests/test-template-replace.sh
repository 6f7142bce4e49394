#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Templates that are removed, replaced and built anew by several servers while
# they are being cloned break no client.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

head -c 6M /dev/urandom >base
# shellcheck disable=SC2016 # for the command
args=(size=0 image="$work/base" template-dir="$templates" command='cat "$image" >"$disk"')
serve "$plugin" "${args[@]}"
first=$uri
serve "$plugin" "${args[@]}"
second=$uri

client() {
    local i
    for i in {1..8}; do
        nbdcopy "$1" "got$2" && cmp "got$2" base || return
    done
}
clients=()
for i in 1 2 3 4; do
    client "$first" "a$i" &
    clients+=($!)
    client "$second" "b$i" &
    clients+=($!)
done
(
    while [ ! -e ended ]; do
        sleep 0.1
        rm -f "$private"/*
        sleep 0.1
        # Not what is still being written: a part of it would become the template.
        for t in "$private"/*; do
            [[ ${t##*/} = *.* ]] || [ ! -f "$t" ] || { cp -p "$t" new && mv new "$t"; } 2>/dev/null || :
        done
    done
) &
replacer=$!
status=0
for pid in "${clients[@]}"; do
    wait "$pid" || status=1
done
: >ended
wait "$replacer"
[ "$status" -eq 0 ] || fail "a client failed"
