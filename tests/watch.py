#!/usr/bin/env python3
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Usage: watch.py DIRECTORY IDLE COMMAND...
#
# Runs COMMAND, the test in DIRECTORY, and ends it, with status 124, if none of its
# processes uses the CPU for IDLE seconds, or if it runs for twenty times that. So a
# test that hangs ends, and one that is slow because the machine is busy does not.

import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the tree may be somebody else's
from strays import strays

LOOKS = 10
directory = os.fsencode(sys.argv[1])
idle = float(sys.argv[2])
longest = 20 * idle
# These reach the test as well: whoever sends them means all of the process group.
signals = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def comm(pid):
    try:
        with open("/proc/" + pid + "/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def send(signum, wanted):
    for pid in strays(directory):
        if int(pid) != test.pid and wanted(pid):
            try:
                os.kill(int(pid), signum)
            except OSError:  # gone by now
                pass


def stop(why):
    print("took too long:", why)
    for pid, (state, _) in strays(directory).items():
        print("process %s: %s, state %s" % (pid, comm(pid), state.decode()))
    sys.stdout.flush()
    # A test of Go's says then where it hangs.
    send(signal.SIGQUIT, lambda pid: comm(pid).endswith(".test"))
    # The shell cleans up once what it waits for has ended.
    test.terminate()
    time.sleep(1)
    send(signal.SIGTERM, lambda pid: True)
    try:
        test.wait(30)
    except subprocess.TimeoutExpired:
        test.kill()
    sys.exit(124)


signal.pthread_sigmask(signal.SIG_BLOCK, signals)
test = subprocess.Popen(
    sys.argv[3:], env=dict(os.environ, TMPDISK_TEST_DIR=sys.argv[1]),
    preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals))
began = looked = time.monotonic()
before, same = None, 0
while test.poll() is None:
    signal.sigtimedwait(signals, max(0, looked + idle / LOOKS - time.monotonic()))
    # By looks, not by the clock: this process may have to wait for the CPU itself.
    if time.monotonic() - looked < idle / LOOKS:
        continue
    now = {pid: ticks for pid, (_, ticks) in strays(directory).items()}
    same = same + 1 if now == before else 0
    before, looked = now, time.monotonic()
    if same == LOOKS:
        stop("nothing of it has used the CPU for %g s" % idle)
    if looked - began > longest:
        stop("it has run for %g s" % longest)
sys.exit(test.returncode if test.returncode >= 0 else 128 - test.returncode)
