#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The helper functions, before and after the server has gone into the background
# and its directory is /. What one nbdkit has and another has not is an error. What the
# check leaves is there after the fork, in every mode, and no descriptor stays open.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/helpers

mkdir real
touch real/file
ln -s real link
echo from-a-file >password.txt

# report: the plugin's report to a client of the export $export.
report() {
    client 'import os
os.write(1, h.pread(h.get_size(), 0))' >report
}

serve_daemon -v ./helpers.so file=link/file expect="$work/link/file" parse=1 \
    password=+password.txt leave=text
export=an/export
report
for line in "absolute_path=$work/link/file" "realpath=$work/real/file" cwd=/ \
    'left=first text;second text;' password=from-a-file export_name=an/export readonly=false is_tls=false \
    "peer_uid=$(id -u)" "peer_gid=$(id -g)" 'peer_name=*net.UnixAddr' \
    nanosleep=slept nanosleep_negative=error with_client=done stdio_safe=false \
    sigterm_onstack=true foreign_export_name=error foreign_peer_uid=error \
    foreign_nanosleep=slept; do
    has report "$line"
done
! find "/proc/$server/fd" -lname '*/left*' | grep . || fail "what was left is open"
# Only before the fork standard input and output may be the terminal.
has "$log" "debug: stdio_safe=true"
grep -qE '^peer_pid=[1-9][0-9]*$' report || fail "no peer_pid"
grep -qE '^peer_tls_dn=(unsupported|)$' report || fail "no peer_tls_dn"
grep -qE '^parse_probability=(unsupported|0.25)$' report || fail "no parse_probability"
grep -qE '^parse_delay=(unsupported|1.5ms)$' report || fail "no parse_delay"
grep -qE '^peer_security_context=(unsupported|asked|error)$' report ||
    fail "no peer_security_context"
export=disconnect report || :
[ "$(nbdkit --version)" != "nbdkit 1.32.5" ] || has report disconnect=unsupported

# A descriptor is read once, by the process that checks, and then closed.
printf 'from a descriptor' >descriptor.txt
serve ./helpers.so file=/etc/passwd password=-9 leave=more 9<descriptor.txt
report
has report 'left=first more;second more;'
one_socket() { [ "$(find "/proc/$server/fd" -lname 'socket:*' | wc -l)" -eq 1 ]; }
wait_for 10 one_socket || fail "more sockets are open than the one that it listens on"
has report "password=from a descriptor"
has report absolute_path=/etc/passwd
[ -z "$(find "/proc/$server/fd" -lname '*/descriptor.txt')" ] ||
    fail "the password's descriptor is open"

export=shutdown report
wait_for 10 gone "$server" || fail "Shutdown did not end the server"
wait "$server" || fail "got exit status $? after Shutdown, want 0"
: >"$work/stopped.$server"

# Over standard input and output.
nbdsh -c - <<'PYTHON'
h.connect_command(["nbdkit", "-s", "-r", "./helpers.so", "leave=less"])
report = h.pread(h.get_size(), 0)
for line in b"left=first less;second less;", b"stdio_safe=false", b"readonly=true", b"absolute_path=error":
    assert line + b"\n" in report, report
h.shutdown()
PYTHON

# shellcheck disable=SC2016 # for the shell that nbdkit runs
nbdkit -U - ./helpers.so leave=run --run 'nbdsh -u "$uri" -c "import os
os.write(1, h.pread(h.get_size(), 0))"' >report
has report 'left=first run;second run;'
