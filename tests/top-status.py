# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Usage: top-status.py DIR NAME...
#
# Replaces DIR/NAME.json as servers do, whose clients read and write, until it is
# killed. Disk N reads N MiB and writes N * 8 KiB a second.

import json
import os
import sys
import time

directory, *names = sys.argv[1:]
started = time.time()


def utc(seconds):
    fraction = f"{seconds % 1:.6f}"[1:]
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def disk(server, number, elapsed):
    nothing = {"bytes": 0, "requests": 0}
    reads = int(256 * number * elapsed)
    writes = int(2 * number * elapsed)
    return {
        "number": number, "export": "swap" if number % 2 else "",
        "session": f"{server:06x}{number:06x}",
        "peer": f"address 192.0.2.{number}" if number % 3 else "user 1000",
        "dn": f"CN=seat {number}", "since": utc(started - number),
        "state": "connected" if number % 4 else "waiting",
        "size": 1 << 30, "allocated": (21 - number) << 20,
        "read": {"bytes": reads * 4096, "requests": reads},
        "written": {"bytes": writes * 4096, "requests": writes},
        "trimmed": nothing, "zeroed": nothing, "last": utc(started),
    }


while True:
    now = time.time()
    for server, name in enumerate(names):
        document = {
            "format": 1,
            "server": {
                "name": name, "version": "9.8.7", "pid": os.getpid(),
                "started": utc(started), "written": utc(now),
                "parameters": {"size": "1073741824"}, "tmpdir": "/var/tmp",
                "tmpdir_free": 12 << 30, "tmpdir_size": 100 << 30,
                "commands": 1, "clients_waiting": 2, "making": 3,
            },
            "exports": [{
                "name": "", "description": "", "kind": "mold", "type": "ext4",
                "size": 1 << 30, "spares": 4, "mold": 65536, "disks": 20,
            }],
            "disks": [disk(server, n, now - started) for n in range(1, 21)],
            "latency": {"buckets_us": [10, 100], "counts": [1, 2, 3]},
        }
        path = os.path.join(directory, name + ".json")
        with open(path + ".tmp", "w") as f:
            json.dump(document, f)
        os.rename(path + ".tmp", path)
    time.sleep(0.5)
