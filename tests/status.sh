# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of status-file: sourced in place of lib.sh.

# shellcheck source=sessions.sh
. "$(dirname "${BASH_SOURCE[0]}")/sessions.sh"

mkdir run
status=$work/run/lab.json

# status_is CODE: this Python is true of the document d, whose disks are also disks.
status_is() {
    /usr/bin/python3 - "$status" "$1" <<'PYTHON' 2>status.err
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2], {"d": d, "disks": d["disks"]}))
PYTHON
}

# must_be CODE: status_is so, now or soon.
must_be() {
    wait_for 30 status_is "$1" || {
        cat status.err "$status" || :
        fail "the status is not: $1"
    }
}
