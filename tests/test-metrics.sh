#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# metrics-file: counts exactly how each client's open ended, and what was read and
# written, also on disks and exports that are gone.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

requires promtool
mkdir run exports
mkdir -m 700 templates
conf() { printf '%s\n' "${@:2}" >"exports/$1.conf"; }
# shellcheck disable=SC2016 # for the command
make='command=truncate -s 1M "$disk"'
conf made "$make"
conf spare "$make" spare-disks=1
conf clone "$make" template-dir="$work/templates"
conf failed command=false
# shellcheck disable=SC2016 # for the command
conf held 'command=touch "$begun"; exec sleep 1000' begun="$work/begun"
conf session type=swap session-grace=1h
conf lost type=swap session-grace=1s
conf full type=swap min-free=1000000000G
serve "$plugin" size=1M type=swap export-dir=exports client-disks=40 metrics-file=run/lab.prom
metrics=$work/run/lab.prom
wait_for 30 test -e "$metrics" || fail "no metrics"
[ "$(stat -c %a "$metrics")" = 644 ] || fail "$(stat "$metrics")"

talk <<'PYTHON'
import re, subprocess

text = {}
def samples():
    """{(name, export, what): value} of the file as it is now."""
    with open("run/lab.prom") as f:
        text[os.fstat(f.fileno()).st_ino] = s = f.read()
    found = {}
    for name, labels, value in re.findall(r"^(tmpdisk_\w+){(.*)} (\S+)$", s, re.M):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        want(labels.pop("server"), "lab")
        what = labels.pop("kind", labels.pop("outcome", labels.pop("le", labels.pop("version", None))))
        found[name, labels.pop("export", None), what] = float(value)
        want(labels, {})
    return found

last = {}
def sample():
    """The next one; whatever counts has not gone down, unless its export has gone."""
    new = samples()
    for key, value in last.items():
        if key[1] == "clone" and key not in new and not os.path.exists("exports/clone.conf"):
            continue
        if re.search("_(total|bucket|sum|count)$", key[0]) and new.get(key, -1) < value:
            sys.exit("%s: %s after %s" % (key, new.get(key), value))
    last.clear()
    last.update(new)
    return new

def until(what):
    """What is true at last, of what differs from what must be."""
    for i in range(3000):
        wrong = what(sample())
        if not wrong:
            return
        time.sleep(0.1)
    sys.exit("%s" % wrong)

def again(name):
    """A connection at last: disks are closed after their sockets."""
    for i in range(3000):
        try:
            return connect(name)
        except nbd.Error:
            time.sleep(0.05)
    return connect(name)

def closes(c):
    c.pwrite(b"used", 0)
    c.shutdown()
    time.sleep(0.05)

# Reads, writes, trims and zeroes of three disks, of which one stays.
one, two, three = [connect("") for i in range(3)]
for i in range(600):
    one.pread(4096, i * 512)
for c in one, two:
    c.pwrite(bytes(1000), 0)
    c.pwrite(bytes(100), 0, nbd.CMD_FLAG_FUA)
    c.trim(4096, 65536)
    c.zero(512, 0)
    c.zero(1024, 0)
two.pread(512, 0)
one.shutdown()
three.shutdown()
requests = {"read": 601, "write": 4, "trim": 2, "zero": 4}
octets = {"read": 600 * 4096 + 512, "write": 2200, "trim": 8192, "zero": 3072}

# What becomes of clients.
refused("nothing")
closes(connect("clone"))
closes(connect("made"))
for i in range(20):     # who give it back
    again("spare").shutdown()
    time.sleep(i / 50)  # until it is there again, at least in the end
for i in range(3):
    refused("failed")
    refused("full")
begun = os.fork()
if begun == 0:
    refused("held")
    os._exit(0)
while not os.path.exists("begun"):
    time.sleep(0.05)
os.kill(begun, 9)
os.waitpid(begun, 0)
closes(again("session/a"))
import fcntl, glob
with open(glob.glob(os.environ["TMPDIR"] + "/nbdkit-tmpdisk-sessions-*/*.disk")[0], "r+") as f:
    fcntl.flock(f, fcntl.LOCK_EX)   # as another server would have it
    refused("session/a")
closes(again("session/a"))
closes(again("lost/b"))
opens = {("", "cast"): 3, ("", "refused_unknown"): 1, ("clone", "clone"): 1, ("made", "made"): 1, ("spare", "any"): 20,
         ("failed", "refused_failed"): 3, ("full", "refused_min_free"): 3,
         ("held", "refused_gone"): 1, ("session", "cast"): 1, ("session", "refused_session"): 1,
         ("session", "resumed"): 1, ("lost", "cast"): 1}

def wrong(s):
    got = {k[1:]: v for k, v in s.items() if k[0] == "tmpdisk_opens_total" and v > 0}
    # A disk that nobody has used is the next client's, unless that comes too soon.
    got["spare", "any"] = sum(got.pop(("spare", how), 0) for how in ("made", "spare", "returned"))
    bad = {k: (got.get(k), opens.get(k)) for k in {*got, *opens} if got.get(k) != opens.get(k)}
    for kind in requests:
        for name, numbers in ("tmpdisk_requests_total", requests), ("tmpdisk_bytes_total", octets):
            if s.get((name, "", kind)) != numbers[kind]:
                bad[name, kind] = s.get((name, "", kind)), numbers[kind]
    state = {("tmpdisk_disks", ""): 1, ("tmpdisk_disks", "made"): 0, ("tmpdisk_disks", "session"): 1,
             ("tmpdisk_sessions_waiting", "session"): 1, ("tmpdisk_sessions_waiting", "lost"): 0}
    for key, value in state.items():
        if s.get(key + (None,)) != value:
            bad[key] = s.get(key + (None,)), value
    return bad

until(wrong)
s = sample()
for name in "tmpdisk_commands_running", "tmpdisk_clients_waiting", "tmpdisk_disks_making":
    want((name, s[name, None, None]), (name, 0))
want(s["tmpdisk_commands_failed_total", None, None], 3)
# That of the client that left, and those whose spare disk came back unused.
want(s["tmpdisk_commands_killed_total", None, None] >= 1, True)
want(s["tmpdisk_open_seconds_count", "", None], 3)
want(s["tmpdisk_make_seconds_count", "made", None], s["tmpdisk_opens_total", "made", "made"])
for how in "spare", "returned":
    want(s["tmpdisk_opens_total", "spare", how] > 0, True)
want(s["tmpdisk_allocated_bytes", "", None] > 0, True)
want(s["tmpdisk_request_seconds_count", None, None] >= 3, True)

# One that is too much for the client, spares, what is lost, and an export that goes.
many = [two] + [again("") for i in range(38)]      # and session/a waits
refused("")
for c in many[1:]:
    c.shutdown()
until(lambda s: s["tmpdisk_disks", "", None] - 1)
closes(again("spare"))
refused("lost/b")
os.unlink("exports/clone.conf")
refused("clone")
del opens["clone", "clone"]
opens.update({("", "cast"): 41, ("", "refused_limit"): 1, ("", "refused_unknown"): 2, ("spare", "any"): 21,
              ("lost", "refused_lost"): 1})
until(wrong)

if len(text) < 3:
    sys.exit("the metrics were written %d times only" % len(text))
for s in text.values():
    subprocess.run(["promtool", "check", "metrics"], input=s, text=True, check=True)
PYTHON
stop_server "$server"
[ -z "$(ls -A run)" ] || fail "left: $(ls -A run)"
