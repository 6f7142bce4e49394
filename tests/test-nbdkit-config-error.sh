#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A plugin that cannot be configured ends nbdkit before it forks, with exit
# status 1 and the reason on standard error, in every mode: errors, panics, and
# the process that does the check coming to an end.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty

# One call from nbdkit goes through several methods: the stack says which.
while read -r at method; do
    FAULTY=$at:error config_fails "$at: wrong on purpose" ./faulty.so a=b
    FAULTY=$at:panic config_fails "config_complete: panic: on purpose" ./faulty.so a=b
    has "$log" "main.plugin.$method("
    has "$log" "testplugin/faulty/faulty.go"
    FAULTY=$at:exit3 config_fails "exit status 3" ./faulty.so a=b
    FAULTY=$at:kill config_fails "signal 9 (Killed)" ./faulty.so a=b
done <<'END'
config Config
config_complete ConfigComplete
thread_model ThreadModel
END
FAULTY=describe:panic config_fails "plugin_init: panic: on purpose" ./faulty.so
FAULTY=load:panic config_fails "panic: on purpose" ./faulty.so
has "$log" "main.plugin.Load("
FAULTY=config:goroutine config_fails "panic: on purpose" ./faulty.so a=b
