#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A start, and each template that is made, removes templates that nobody has used
# for 30 days and what dead builders left, but nothing whose lock is held.
# Using a template counts.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

requires flock
args=(size=1M template-dir="$templates" word=hello command="$noting")
start_and_stop() {
    serve "$plugin" "${args[@]}"
    stop_server "$server"
}
serve "$plugin" "${args[@]}"
begins hello
stop_server "$server"
template=$(ls "$private")

touch -d '29 days ago' "$private/$template"
start_and_stop
[ -e "$private/$template" ] || fail "removed before its time"

# Used, it stays for another 30 days.
serve "$plugin" "${args[@]}"
begins hello
stop_server "$server"
[ -z "$(find "$private/$template" -mmin +5)" ] || fail "the use was not noted"
ran 1

touch -d '31 days ago' "$private/$template"
a=$(printf 'a%.0s' {1..64}) b=$(printf 'b%.0s' {1..64})
tmp=.tmp.0123456789abcdef0123
(umask 077 && touch "$private/$a.lock" "$private/$a$tmp" "$private/$b.lock" "$private/$b$tmp" "$private/notes")
mkfifo end
flock "$private/$b.lock" flock "$private/$b$tmp" sh -c ': >held; read -r _ <end' &
wait_for 10 test -e held
start_and_stop
: >end
wait
ls "$private" >got
printf '%s\n' "$b.lock" "$b$tmp" notes | diff - got || fail "other files are left"
start_and_stop
[ "$(ls "$private")" = notes ] || fail "left: $(ls "$private")"

# A server that is not started again sweeps as well, when it makes a template.
serve "$plugin" "${args[@]}"
(umask 077 && touch -d '31 days ago' "$private/$a")
begins hello
wait_for 10 test ! -e "$private/$a" || fail "not swept after a template was made"
