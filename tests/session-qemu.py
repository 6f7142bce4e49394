# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For /usr/bin/python3: qemu-io writes and verifies patterns until there is a file
# "enough", and then verifies the last of each place once more.
#
# nbdkit answers requests that come after SIGTERM with ESHUTDOWN, which qemu takes
# for the disk's. They are repeated, as a virtual machine with werror=stop does.

import os
import subprocess
import sys

PLACES = 500
STEP = 64 << 10

qemu = subprocess.Popen(["qemu-io", "--image-opts", sys.argv[1]], bufsize=0,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
repeated = 0


def answer():
    text = b""
    while not text.endswith(b"qemu-io> "):
        more = qemu.stdout.read(4096)
        if not more:
            sys.exit("qemu-io: %r" % text)
        text += more
    return text.decode()


def run(command):
    global repeated
    while True:
        qemu.stdin.write(command.encode() + b"\n")
        text = answer()
        if "failed: Cannot send after transport endpoint shutdown" in text and os.path.exists("ending"):
            repeated += 1
            continue
        if "65536/65536 bytes" not in text or "fail" in text:
            sys.exit("%s: %s" % (command, text))
        return


answer()
n = 0
while not os.path.exists("enough"):
    place = "%d %d" % (n % PLACES * STEP, STEP)
    run("write -P %d %s" % (n % 251, place))
    run("read -P %d %s" % (n % 251, place))
    n += 1
    with open("count.new", "w") as f:
        f.write("%d\n" % n)
    os.rename("count.new", "count")
for i in range(max(0, n - PLACES), n):
    run("read -P %d %d %d" % (i % 251, i % PLACES * STEP, STEP))
qemu.stdin.close()
qemu.wait()
print(n, "patterns,", repeated, "requests repeated that came while a server ended")
