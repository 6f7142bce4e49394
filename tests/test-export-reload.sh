#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Exports are added, changed and removed while the server runs and clients come:
# each client gets a disk that one whole version of its file describes.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

# write TEXT: exports/a.conf in one step.
write() {
    printf '%b' "$1" >exports/new
    mv exports/new exports/a.conf
}

# ran FILE N: the command has run so often.
ran() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}

# is EXPORT BYTES
is() {
    local got
    got=$(nbdinfo --size "nbd+unix:///$1?socket=$sock") || fail "export $1: no disk"
    [ "$got" -eq "$2" ] || fail "export $1: got $got bytes, want $2"
}

# lines TEXT: how many lines of the log have it.
lines() {
    grep -cF -e "$1" "$log" || :
}

mkdir exports
serve "$plugin" type=swap session-key=name export-dir=exports
refuses a
write 'size=1M\n'
is a 1048576

# A new version counts for the next client at once, be the file as long and as old.
for i in {2..9}; do
    printf 'size=%dM\n' "$i" >exports/a.conf
    touch -d @1000000000 exports/a.conf
    is a $((i << 20))
done

# One with an error changes nothing, and is logged once.
write 'size=1M\nsize=lots\n'
is a 9437184
is a 9437184
[ "$(lines 'a.conf: line 2: parameter size: "lots"')" -eq 1 ] || fail "not logged once"
write 'size=1M\nlabel'
is a 9437184
: >exports/a.conf
is a 9437184
write 'size=3M\n'
is a 3145728
chmod o+w exports/a.conf
is a 3145728
write 'size=4M\n'
chmod o+w exports
write 'size=5M\n'
is a 3145728
chmod o-w exports
is a 5242880

# A file that goes takes no new clients; who is connected stays; a session waits.
write 'size=1M\nsession-grace=1h\n'
writes a/one kept
mkfifo goes
talk <<'PYTHON' &
c = connect("a")
open("connected", "w").close()
open("goes").read()
c.pwrite(b"still here", 0)
want(c.pread(10, 0), b"still here")
PYTHON
client=$!
wait_for 20 test -e connected || fail "no client"
rm exports/a.conf
refuses a
refuses a/one
[ "$(nbdinfo --list --json "nbd+unix:///?socket=$sock" | grep -c export-name)" -eq 0 ] || fail "it is still listed"
: >goes
wait "$client" || fail "the client that was connected"
write 'size=2M\nsession-grace=1h\n'
is a 2097152
finds a/one kept

# What is ready is made anew.
cat >exports/b.conf <<'END'
size=1M
spare-disks=2
command=echo old >"$disk"; echo run >>old.runs
END
sed -i "s|old.runs|$work/old.runs|" exports/b.conf
nbdinfo --size "nbd+unix:///b?socket=$sock" >/dev/null
wait_for 20 ran old.runs 2 || fail "no spare disks"
sed 's/old/new/g' exports/b.conf >exports/b.new
mv exports/b.new exports/b.conf
for i in 1 2 3; do
    talk <<<'want(connect("b").pread(3, 0), b"new")'
done
wait_for 20 ran new.runs 4 || fail "no new spare disks"

# Clients come all the time while three writers replace, edit and halve files.
for name in r e h; do
    printf 'size=1M\nlabel=v1\n' >"exports/$name.conf"
    is "$name" 1048576
done
python3 - <<'PYTHON' &
import os, random, time
def text(n):
    # The size stands twice, so that a mixture shows.
    return "label=v%d\nsize=%dM\n" % (n, n)
end = time.monotonic() + 6
n = 1
while time.monotonic() < end:
    n = n % 40 + 1
    with open("exports/r.new", "w") as f:
        f.write(text(n))
    os.rename("exports/r.new", "exports/r.conf")
    # In place, but never shorter than the line that it is about.
    with open("exports/e.conf", "r+") as f:
        f.write("size=%dM\nlabel=v%d" % (n, n))
        f.flush()
        time.sleep(random.random() / 100)
        f.write("\n")
        f.truncate()
    # The beginning of a file only, for a while.
    whole = text(n)
    with open("exports/h.conf", "w") as f:
        f.write(whole[:random.randrange(len(whole) - 8)].rstrip("\n"))
        f.flush()
        time.sleep(random.random() / 100)
        f.seek(0)
        f.write(whole)
    time.sleep(random.random() / 50)
open("over", "w").close()
PYTHON
editor=$!
at_exit "kill $editor 2>/dev/null || :"
talk <<'PYTHON' || fail "a client got a mixture"
seen = {}
while not os.path.exists("over"):
    for name in "r", "e", "h":
        c = connect(name)
        label = c.pread(16, 1024 + 28).rstrip(b"\0").decode()
        size = c.get_size() >> 20
        if name != "e":
            want(label, "v%d" % size)
        seen.setdefault(name, set()).add(size)
        c.shutdown()
print({name: len(sizes) for name, sizes in seen.items()})
for name in "r", "e", "h":
    if len(seen.get(name, ())) < 10:
        sys.exit("%s: saw %s only" % (name, seen.get(name)))
PYTHON
wait "$editor"
