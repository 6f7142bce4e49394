#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# In session-dir disks outlive their server, whatever its end, and nothing else
# is there; in the end only a note.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

token=nobody-can-guess
args=("$plugin" size=10M type=swap session-grace=1h session-dir="$sessions")

serve "${args[@]}"
writes swap/$token first
stop_server "$server"

serve "${args[@]}"
finds swap/$token first
writes swap/$token second
# Killed while the client is connected.
talk <<PYTHON
c = connect("swap/$token")
c.pwrite(b"third!", 512 * 9)
os.kill($server, 9)
PYTHON
kill_server

serve_daemon "${args[@]}"
finds swap/$token third!
stop_server "$server"
# shellcheck disable=SC2016 # for the shell that nbdkit starts
nbdkit -U - "${args[@]}" --run "nbdsh -c 'h.set_export_name(\"swap/$token\")' \
    -c 'h.connect_unix(\"'\$unixsocket'\")' -c 'assert h.pread(6, 512 * 9) == b\"third!\"'"
# A relative directory is one of where nbdkit was started.
serve_daemon "$plugin" size=10M type=swap session-grace=1h session-dir=sessions
finds swap/$token third!
stop_server "$server"

kept_is '*' 2 || fail "want a disk and its record: $(ls -l "$private")"
kept_is '*.disk' 1 || fail "want one disk: $(ls -l "$private")"
others=$(find "$sessions" -mindepth 1 -perm /077)
[ -z "$others" ] || fail "others can read $others"
! find "$sessions" | grep -F "$token" || fail "a name tells the token"
! grep -rF "$token" "$private" || fail "a file tells the token"

# After the grace there is a note.
serve -v "$plugin" size=10M type=swap session-grace=1s session-dir="$sessions"
wait_for 20 kept_is '*.disk' 0 || fail "still there: $(ls "$private")"
kept_is '*' 1 || fail "want a note: $(ls "$private")"
refuses swap/$token
stop_server "$server"
serve "${args[@]}"
refuses swap/$token
stop_server "$server"
# A file that looks old is none: the clock may have been wrong.
touch -d '25 hours ago' "$private"/*
serve "${args[@]}"
refuses swap/$token
