#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# What goes wrong only after the fork, when nobody would see the server end, is
# logged and told to every client, and the plugin gets no further callback.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty

later=preconnect:panic,open:panic,list_exports:panic,default_export:panic,cleanup:panic,unload:panic
for at in config config_complete get_ready after_fork; do
    FAULTY=$at:late,$later serve ./faulty.so a=b
    wait_for 20 grep -qF "error: $at: wrong on purpose" "$log" || # it listens before
        has "$log" "error: $at: wrong on purpose"
    for export in "" good; do
        uri="nbd+unix:///$export?socket=$sock" refused
    done
    ! nbdinfo --list "$uri" >list 2>&1 || fail "$at: no error from the list of exports"
    stop_server "$server" child
    ! grep panic "$log" || fail "$at: the plugin got a callback"
    [ "$(grep -c "error: $at: wrong on purpose" "$log")" -ge 4 ] ||
        fail "$at: the clients were not told"
done

# The command of --run is not kept waiting, and is told.
status=0
# shellcheck disable=SC2016 # for the shell that nbdkit runs
FAULTY=get_ready:late timeout 20 nbdkit -U - ./faulty.so \
    --run 'nbdinfo --size "$uri"' >run.log 2>&1 || status=$?
[ "$status" -eq 1 ] || fail "--run: got exit status $status, want 1"
has run.log "get_ready: wrong on purpose"
FAULTY=after_fork:late serve_daemon ./faulty.so
refused
