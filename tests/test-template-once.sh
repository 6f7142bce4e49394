#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Twenty servers that start at once on an empty template-dir run the command
# once, and so do those that start later.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

start_all() {
    local i
    pids=()
    for i in {1..20}; do
        # shellcheck disable=SC2016 # for nbdkit's shell
        nbdkit -U - "$plugin" size=8M template-dir="$templates" \
            word=hello command="sleep 0.2; $noting" --run '
            nbdsh -u "$uri" -c "assert h.pread(5, 0) == b\"hello\"" -c "h.pwrite(b\"other\", 0)"
            ' >"client$i.log" 2>&1 &
        pids+=($!)
    done
    for i in {0..19}; do
        wait "${pids[i]}" || fail "client $((i + 1)) failed"
    done
}
start_all
ran 1
only_templates 1
start_all
ran 1
only_templates 1
