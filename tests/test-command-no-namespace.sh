#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Where no namespace is permitted, what a command starts is found and ended as
# well, and when the server is killed.

# shellcheck source=leavers.sh
. "$(dirname "$0")/leavers.sh"

# A user namespace in which there may be no further ones.
unshare -Ur true 2>/dev/null || skip "needs user namespaces, to forbid more of them"
# shellcheck disable=SC2016 # for sh
cat >nbdkit <<'SCRIPT'
#!/bin/sh
exec unshare -Ur sh -c '
for f in user pid mnt; do echo 0 >/proc/sys/user/max_${f}_namespaces; done
PATH=$OLD_PATH; exec nbdkit "$@"' sh "$@"
SCRIPT
chmod +x nbdkit
OLD_PATH=$PATH
export OLD_PATH
PATH=$work:$PATH

touch slow
# shellcheck disable=SC2016 # for the command
serve -v "$plugin" size=10M work="$work" command="$leavers"'
    [ ! -e "$work/slow" ] || { : >"$work/started"; sleep 1000; }
    mkfs.ext4 -q -F "$disk"'
has "$log" 'contained by: session and environment mark'
rm slow
exercise
none_left || fail "$(left) processes after a success"
touch slow
kill_server_with_leavers
rm -r "$TMPDIR"/nbdkit-tmpdisk-*
