#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Scripts can read what nbdkit-tmpdisk-top --once and --json print, and are told of
# files that are missing and of servers that are gone.

# shellcheck source=top.sh
. "$(dirname "$0")/top.sh"

status_files status
"$top" --once --sort alloc --reverse status 2>err | cat >table
[ ! -s err ] || fail "$(cat err)"
if grep -P '[^ -~]' table; then
    fail "more than plain text"
fi
grep -v '^#' table | awk -F '  +' '{ print NF, $1, $2, $4, $5, $8 }' >fields
head -n 3 fields >got
diff - got <<'END' || fail "other fields"
19 DISK SERVER PEER DN ALLOC
19 20 lab 192.0.2.20 CN=seat 20 1.0M
19 20 site 192.0.2.20 CN=seat 20 1.0M
END
[ "$(wc -l <fields)" -eq 41 ] || fail "not 40 disks"
has table "# disks 40  connected 30  waiting 10"

sed 's/"pid": [0-9]*/"pid": 4194305/' status/lab.json >old.json
"$top" --once old.json >table 2>err || fail "a stale file is an error"
has err "old.json: stale: process 4194305 is gone"
has table "# STALE, process 4194305 is gone"
status=0
"$top" --once none.json old.json >table 2>err || status=$?
[ "$status" -eq 1 ] || fail "status $status without a file"
has err "none.json: no such file or directory"
[ "$(grep -vc '^#' table)" -eq 21 ] || fail "the other file is not shown"

status=0
"$top" --json status none.json old.json >json 2>err || status=$?
[ "$status" -eq 1 ] || fail "--json: status $status without a file"
has err "none.json: no such file or directory"
/usr/bin/python3 - <<'PYTHON'
import json
lab, site, old = json.load(open("json"))
assert [lab["file"], site["file"], old["file"]] == ["status/lab.json", "status/site.json", "old.json"]
assert "stale" not in lab and old["stale"] == "process 4194305 is gone"
assert old["status"] == json.load(open("old.json"))
PYTHON

status=0
"$top" status >out 2>err || status=$?
[ "$status" -eq 1 ] || fail "status $status without a terminal"
has err "standard output is not a terminal: use --once"
