#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-tmpdisk-top gives the terminal back at Ctrl-C and at signals. It works on a
# simple terminal, says when one is too simple, and shows servers come and go.

# shellcheck source=top.sh
. "$(dirname "$0")/top.sh"

status_files status
on_terminal 100 24
enter 'stty -g >before'
for signal in TERM INT HUP; do
    # The shell's own words about a killed child are not wanted.
    enter "clear; $top status & echo \$! >pid; fg >/dev/null; echo \"status \$?\""
    must_show "DISK^"
    kill "-$signal" "$(cat pid)"
    must_show "status $((128 + $(kill -l "$signal")))"
    must_be_sane
done
enter "clear; $top status; echo \"status \$?\""
must_show "DISK^"
press C-c
must_show "status 0"
must_be_sane

# A file that goes and one that nobody writes any more.
kill -STOP "$writer"
sed "s/\"pid\": $writer/\"pid\": 4194305/" status/lab.json >old.json
enter "clear; $top status old.json status/none.json; echo \"status \$?\""
must_show "lab 9.8.7  pid $writer"
must_show "STALE, process 4194305 is gone: lab 9.8.7"
must_show "connected?"
must_show "open status/none.json: no such file or directory"
rm status/lab.json
must_show "disks 40"
kill -CONT "$writer"
must_show "disks 60"
press q
must_show "status 0"

for term in vt100 xterm-256color; do
    enter "clear; TERM=$term $top status; echo \"status \$?\""
    must_show "DISK^"
    press q
    must_show "status 0"
    must_be_sane
done
for term in dumb nonsense ''; do
    enter "clear; TERM=$term $top status; echo \"status \$?\""
    must_show "TERM=$term cannot show a table"
    must_show "status 1"
    must_be_sane
done
