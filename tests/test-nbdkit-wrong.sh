#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A wrong plugin is told what is wrong with it, and neither crashes nor serves.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/wrong

wrong() {
    WRONG=$1 config_fails "$2" ./wrong.so
}
wrong no-registration "no plugin is registered: call nbdkit.PluginInitialize"
wrong two-registrations '2 plugins are registered, the last as "two"'
wrong nil-plugin "nbdkit.PluginInitialize was given a nil plugin"
wrong no-name "nbdkit.PluginInitialize was given an empty name"
wrong bad-name "must contain only ASCII alphanumeric or dash characters"
wrong signature "badConfig.Config: the method has type func(string, string)"
wrong thread-model "thread_model: 4: not one of the ThreadModel constants"
wrong nul "longname: \"cut\\x00off\": NUL in the text"
wrong init-panic "panic: on purpose"

# A method that only looks like a callback is said once, and does no harm.
WRONG=ignored serve ./wrong.so
client 'h.pread(512, 0)'
client 'h.pread(512, 0)'
stop_server "$server" child
for text in "plugin_init: main.versioned.Version: the method is ignored: Describe returns it" \
    "open: main.misspelt.CanFua: the method is ignored: CanFUA is the callback"; do
    [ "$(grep -cF "error: $text" "$log")" -eq 1 ] || fail "not once in the log: $text"
done
serve "$plugin" size=1M
client 'h.pread(512, 0)'
stop_server "$server" child
! grep "is ignored" "$log" || fail "our own plugin has such methods"

# wrong_connection WRONG TEXT: the client is refused, the next one as well.
wrong_connection() {
    WRONG=$1 serve ./wrong.so
    refused
    refused
    has "$log" "$2"
    stop_server "$server" child
}
wrong_connection nil-connection "Open returned neither a connection nor an error"
wrong_connection nil-pointer "nil pointer dereference"
wrong_connection negative-size "not negative (-1)"
wrong_connection connection-signature "badWrite.PWrite: the method has type"
wrong_connection connection-receiver "pointerWrite.PWrite: the method has a pointer receiver"
