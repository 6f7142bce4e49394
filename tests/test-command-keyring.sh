#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A command of another user can use neither the keys of whoever started the
# server nor those of other commands.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires root keyctl
keyctl session - true >session.log 2>&1 || skip "needs keyrings: $(cat session.log)"
# A server whose session keyring has a key, as one that a login started may.
# shellcheck disable=SC2016 # for sh
cat >nbdkit <<'SCRIPT'
#!/bin/sh
exec keyctl session - sh -c 'keyctl add user secret "the server'\''s" @s >/dev/null
PATH=$OLD_PATH; exec nbdkit "$@"' sh "$@"
SCRIPT
chmod +x nbdkit
OLD_PATH=$PATH
export OLD_PATH
PATH=$work:$PATH
chmod 711 "$TMPDISK_TEST_DIR" "$TMPDISK_TEST_DIR/tmp.d"
chmod 1777 "$work"

# shellcheck disable=SC2016 # for the command
command='
    for name in secret left; do
        ! keyctl search @s user $name || { keyctl show @s; exit 9; }
    done >&2
    keyctl add user left "an earlier command'\''s" @s
    keyctl search @s user left >"$work/own" || exit 8'
serve "$plugin" size=1M work="$work" command-user=1234568010-1234568011 command="$command"
for i in 1 2 3; do
    rm -f own
    nbdsh -u "$uri" -c 'h.pread(512, 0)' || fail "client $i"
    [ -s own ] || fail "the command cannot keep keys of its own"
done

# One that runs as the server does has what the server has.
serve "$plugin" size=1M command='keyctl search @s user secret >&2'
nbdsh -u "$uri" -c 'h.pread(512, 0)'
