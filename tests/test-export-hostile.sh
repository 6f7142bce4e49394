#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Names that clients make up reach no file name, and break no line of the log.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires strace

mkdir exports
echo 'size=1M' >exports/a.conf
printf 'size=1M\n' >secret.conf
serve "$plugin" type=swap export-dir=exports session-grace=1h session-key=name session-dir="$sessions"
strace -f -qq -e trace=file -s 8192 -o calls -p "$server" &
tracer=$!
at_exit "kill $tracer 2>/dev/null || :; wait $tracer || :"
wait_for 20 grep -q "TracerPid:	*[1-9]" "/proc/$server/status" || fail "no strace"

sock=$sock /usr/bin/python3 - <<'PYTHON'
import os, socket, struct, sys
names = [b"../secret", b"..", ".".encode(), b"/", b"//", b"a/", b"/a", b"a/../a", b"a.conf", b"a\0", b"\0",
         b"a\0/token", b"a/to\0ken", b"\xff\xfe", b"a/\xff", b"./a", b"a/../../secret", b"\n", b"a\nFAKE: b", b"\x1b[2J",
         b"MARKER" * 682, b"x" * 4096, b"a/" + b"MARKER" * 682, b"%s%n", b"$(touch hit)", b"`touch hit`", b"'",
         "\u202ea".encode(), b"exports/a", os.path.abspath("secret").encode(), b"CON", b"*", b"?", b"[a]", b"{a,b}", b"~root"]
rest = lambda s, n: b"" if n == 0 else s.recv(n, socket.MSG_WAITALL)
refused = served = 0
for option in 6, 7, 1: # INFO, GO, EXPORT_NAME
    for name in names + [b"a", b"a/token"]:
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.environ["sock"])
        s.settimeout(300)
        rest(s, 18)
        s.sendall(struct.pack(">I", 3))
        data = name if option == 1 else struct.pack(">I", len(name)) + name + b"\0\0"
        s.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)
        export, slash, token = name.partition(b"/")
        good = export == b"a" and bool(slash) == bool(token) and not {0, 255} & set(name)
        try:
            if option == 1:
                ok = len(rest(s, 10)) == 10
            else:
                ok = False
                while True:
                    head = rest(s, 20)
                    if len(head) < 20:
                        break
                    magic, opt, kind, length = struct.unpack(">QIII", head)
                    rest(s, length)
                    if kind == 1 or kind & 0x80000000:
                        ok = kind == 1
                        break
        except ConnectionError:
            ok = False
        s.close()
        if ok != good:
            sys.exit("option %d, %.40r: served: %s" % (option, name, ok))
        served += ok
        refused += not ok
print(served, "served,", refused, "refused")
if served < 6:
    sys.exit("too few were served")
PYTHON
[ ! -e hit ] || fail "a name was run"
kill "$tracer"
wait "$tracer" || :
[ "$(wc -l <calls)" -gt 20 ] || fail "strace saw nothing"
! grep -E 'MARKER|secret|xxxxxxxx|FAKE|\.\./|touch hit|a\.conf\.conf' calls || fail "a name reached a file name"
! grep -n '^FAKE' "$log" || fail "a name broke a line of the log"
! LC_ALL=C grep -n "$(printf '\033')" "$log" || fail "a name put an escape sequence into the log"
