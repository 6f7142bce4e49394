#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A server that has no descriptors left for clients refuses them and says why. It
# neither ends nor tries again and again, those who are connected notice nothing, and
# when some leave, others are served. Nothing is left of a client that was refused.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

nbdkit() {
    ulimit -n 96 # in the background, so of the server alone
    exec nbdkit "$@"
}

descriptors() { find "/proc/$server/fd" -mindepth 1 | wc -l; }
as_before() { [ "$(descriptors)" -le "$before" ]; }

# flood EXPORT: more clients than there can be come and stay, some of which say
# nothing. %d in EXPORT is the client's number.
flood() {
    pid=$server log=$log status=$status export=$1 talk <<'PYTHON'
import json, socket
def open_now():
    return len(os.listdir("/proc/%s/fd" % os.environ["pid"]))
def ticks():
    fields = open("/proc/%s/stat" % os.environ["pid"]).read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
def name(i):
    export = os.environ["export"]
    return export % i if "%" in export else export
def come(i):
    try:
        clients.append(connect(name(i)))
        clients[-1].pwrite(b"%8d" % i * 64, 512 * i)
    except nbd.Error:
        return False
    return True
def goes_on(i, c):
    want(c.pread(8, 512 * i), b"%8d" % i)
def disks():
    return len(json.load(open(os.environ["status"]))["disks"])
def until(f):
    for i in range(3000):
        try:
            if f():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    sys.exit("it never came to that")
clients = []
served = [i for i in range(60) if come(i)]
if not 10 <= len(served) < 60:
    sys.exit("%d clients were served" % len(served))
until(lambda: disks() == len(served)) # and none of those who were refused
def silent():
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["sock"])
    s.recv(1) # one at a time: it has been let in, or refused
    return s
crowd = [silent() for i in range(100)]
if open_now() > 96 - 8:
    sys.exit("%d of 96 descriptors are in use" % open_now())
used, logged = ticks(), os.path.getsize(os.environ["log"])
time.sleep(2)
if ticks() - used > 50 or os.path.getsize(os.environ["log"]) > logged + 10_000:
    sys.exit("the server is busy with nothing: %d ticks of 2 s, %d bytes of log" %
             (ticks() - used, os.path.getsize(os.environ["log"]) - logged))
for i, c in zip(served, clients):
    goes_on(i, c)
    c.pwrite(b"%8d" % i, 512 * i)
for s in crowd:
    s.close()
# The first make room for the disks that wait. Then somebody leaves and somebody else
# comes, more often than there is room.
for i in range(8):
    clients.pop(0).shutdown()
for i in range(60, 120):
    clients.pop(0).shutdown()
    until(lambda: come(i))
    goes_on(i, clients[-1])
PYTHON
    has "$log" 'too many open files: the server may have 96 descriptors: raise ulimit -n, or LimitNOFILE= of its unit'
    if grep -F 'Too many open files' "$log"; then
        fail "nbdkit itself ran out of them"
    fi
}

# begin ARGUMENTS...: start a server, and know what it has open with no client.
begin() {
    serve "$plugin" size=10M status-file="$status" "$@"
    nbdinfo --size "$uri" >/dev/null
    must_be 'disks == []'
    before=$(descriptors)
}

# end: nothing is left of it.
end() {
    wait_for 30 as_before || fail "$before descriptors before and $(descriptors) now: $(ls -l "/proc/$server/fd")"
    must_be 'disks == []'
    stop_server "$server"
}

begin type=ext4
flood ''
end

# shellcheck disable=SC2016 # for the command
begin command='truncate -s "$size" "$disk"'
flood ''
end

# The disks of those who have left wait, without a descriptor.
sessions_stay
begin type=ext4 session-grace=1h session-max=8
flood 'x/%d'
must_be 'len(disks) == 8 and all(d["state"] == "waiting" for d in disks)'
wait_for 30 as_before || fail "$before descriptors would do, and there are $(descriptors)"
stop_server "$server"
