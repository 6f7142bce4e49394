#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Spare disks are clones: thirty clients at once cost one run of the command,
# with nbdkit -r and with a command that decides on the size as well.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

n=0
for options in '' -r; do
    for size in 1M 0; do
        n=$((n + 1))
        before=
        [ "$size" != 0 ] || before='size=12345; '
        # shellcheck disable=SC2086 # no option if empty
        serve $options "$plugin" size="$size" spare-disks=4 run="$n" \
            template-dir="$templates" word=hello command="$before$noting"
        nbdsh -c - <<PYTHON
clients = [nbd.NBD() for _ in range(30)]
for h in clients:
    h.connect_uri("$uri")
    assert h.is_read_only() == ("$options" == "-r")
    assert h.get_size() == (12345 if "$size" == "0" else 1 << 20), h.get_size()
    assert h.pread(5, 0) == b"hello"
    if not h.is_read_only():
        h.pwrite(b"other", 0)
PYTHON
        stop_server "$server"
        ran "$n"
        only_templates "$n"
    done
done
