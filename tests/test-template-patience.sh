#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template that takes longer than any client waits is finished all the same,
# by one run of the command; the server's end ends that run at once.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

came() {
    [ "$(grep -c ': open readonly' "$log")" -ge "$1" ]
}

left() {
    [ "$(grep -c 'error: open: the client has gone' "$log")" -ge "$1" ]
}

# impatient N: the server's Nth client, killed while its disk is being made.
impatient() {
    nbdsh -u "$uri" -c pass 2>/dev/null &
    wait_for 10 came "$1" || fail "client $1 did not come"
    wait_for 10 test -e started || fail "the command did not start"
    kill -KILL $!
    wait_for 10 left "$1" || fail "the server did not see client $1 leave"
}
slow="touch '$work/started'; until [ -e '$work/go' ]; do sleep 0.05; done; $noting"
serve -v "$plugin" size=1M template-dir="$templates" word=hello command="echo >>'$work/began'; $slow"
for n in 1 2 3; do
    impatient "$n"
done
only_lock=$(ls "$private")
case $only_lock in
*.lock) ;;
*) fail "not being built: $only_lock" ;;
esac
touch go
begins hello
begins hello
[ "$(wc -l <began)" -eq 1 ] || fail "the command began $(wc -l <began) times, not once"
ran 1
only_templates 1

rm go started
serve -v "$plugin" size=1M template-dir="$templates" word=other command="$slow"
impatient 1
stop_server "$server"
ran 1
only_templates 1
