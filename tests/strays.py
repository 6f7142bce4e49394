#!/usr/bin/env python3
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Usage: strays.py DIRECTORY
#
# Prints the process IDs that a test in DIRECTORY has left: those with its mark
# in their environment and, as a process may have a clean environment, those
# that work in DIRECTORY or have a file below it open. Others' are unreadable
# to an ordinary user, and no business of a test's.
#
# A process that is about to end is not left: it is waited for while anything of
# this kind runs, which on a machine with much to do can take long.

import os
import sys
import threading
import time


def is_stray(proc, directory):
    with open(proc + "/environ", "rb") as f:
        if b"TMPDISK_TEST_DIR=" + directory in f.read().split(b"\0"):
            return True
    links = [proc + "/cwd", proc + "/root"]
    links += [proc + "/fd/" + fd for fd in os.listdir(proc + "/fd")]
    for link in links:
        try:
            target = os.readlink(os.fsencode(link))
        except OSError:  # closed by now
            continue
        if target == directory or target.startswith(directory + b"/"):
            return True
    return False


def strays(directory):
    """Return for each process ID the state, as b"S", and the CPU time, in ticks."""
    found = {}
    pids = iter([pid for pid in os.listdir("/proc") if pid.isdigit()])

    def look():
        for pid in pids:
            try:
                if is_stray("/proc/" + pid, directory):
                    with open("/proc/" + pid + "/stat", "rb") as f:
                        stat = f.read().rpartition(b")")[2].split()
                    found[pid] = stat[0], stat[11:15]
            except OSError:  # gone by now, or not ours
                pass

    # Another's process that hangs in the kernel, because its FUSE server does say,
    # may keep whoever looks at it. Then another thread looks at the rest.
    while True:
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(10)
        if not looking.is_alive():
            return dict(found)


def main():
    directory = os.fsencode(sys.argv[1])
    left = strays(directory)
    asleep = 0
    for _ in range(3000):
        if not left or asleep == 20:
            break
        time.sleep(0.1)
        before, left = left, strays(directory)
        busy = any(state in (b"R", b"D") for state, _ in left.values())
        asleep = 0 if busy or left != before else asleep + 1
    for pid in left:
        print(pid)


if __name__ == "__main__":
    main()
