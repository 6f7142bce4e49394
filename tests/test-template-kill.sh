#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# kill -9 of a server at any moment of building, keeping or cloning leaves no
# broken template, and nothing that the next start does not sweep.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

rounds=${TMPDISK_TEST_ROUNDS:-12}
seed=${TMPDISK_TEST_SEED:-$RANDOM}
echo "seed $seed"
RANDOM=$seed

count() {
    { find "$private" -regextype egrep -regex ".*/$1" 2>/dev/null || :; } | wc -l
}

swept() {
    [ "$(count '[0-9a-f]{64}.+')" -eq 0 ]
}

# Enough for the kill to meet every stage.
head -c 64M /dev/urandom >base
# shellcheck disable=SC2016 # for the command
args=(size=0 image="$work/base" template-dir="$templates" command='cat "$image" >"$disk"')
leftovers=0
for ((i = 0; i < rounds; i++)); do
    # Two rounds of three build, the third clones.
    [ $((i % 3)) -eq 2 ] || rm -f "$private"/*
    serve "$plugin" "${args[@]}"
    rm -f connecting
    nbdsh -c 'open("connecting", "w").close()' -c "h.connect_uri('$uri')" >/dev/null 2>&1 &
    client=$!
    until [ -e connecting ]; do :; done
    sleep "$(printf 0.%03d $((RANDOM % 250)))"
    : >"stopped.$server"
    kill -KILL "$server"
    wait "$client" "$server" 2>/dev/null || :
    leftovers=$((leftovers + $(count '.*\.tmp\..*')))

    serve -v "$plugin" "${args[@]}"
    # nbdkit writes its pid file before the plugin has started and swept.
    wait_for 10 swept || fail "round $i: not swept: $(ls "$private")"
    for _ in 1 2; do
        nbdcopy "$uri" got
        cmp got base || fail "round $i: another disk than was made"
    done
    stop_server "$server"
    only_templates 1
done
echo "$rounds rounds, $leftovers unfinished templates swept"
