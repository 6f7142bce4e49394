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

import os
import sys

directory = os.fsencode(sys.argv[1])
mark = b"TMPDISK_TEST_DIR=" + directory


def is_stray(proc):
    with open(proc + "/environ", "rb") as f:
        if mark in f.read().split(b"\0"):
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


for pid in os.listdir("/proc"):
    try:
        if pid.isdigit() and is_stray("/proc/" + pid):
            print(pid)
    except OSError:  # gone by now, or not ours
        pass
