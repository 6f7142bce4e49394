#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Clients of an export for which a crowd waits do not keep those of another waiting:
# with one command at a time they take turns.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

mkdir exports
cat >exports/crowd.conf <<END
command=echo crowd >>"\$made"; until [ -e "\$go" ]; do sleep 0.05; done
END
sed 's/echo crowd/echo few/' exports/crowd.conf >exports/few.conf
serve "$plugin" size=1M make-jobs=1 made="$work/made" go="$work/go" export-dir=exports \
    metrics-file=fair.prom
# The first command holds all others up until they wait.
talk <<'PYTHON'
import re, threading
def wait_until(n):
    """Until so many clients are in the queue or have their command running."""
    while True:
        try:
            found = re.findall(r"^tmpdisk_clients_waiting{.*} (\d+)$", open("fair.prom").read(), re.M)
        except FileNotFoundError:
            found = []
        if sum(map(int, found)) >= n:
            return
        time.sleep(0.1)
def client(name):
    c = connect(name)
    c.pread(512, 0) # or its disk would go to the next one
    c.shutdown()
crowd = [threading.Thread(target=client, args=("crowd",)) for _ in range(40)]
few = [threading.Thread(target=client, args=("few",)) for _ in range(3)]
for t in crowd:
    t.start()
wait_until(40)
for t in few:
    t.start()
wait_until(43)
open("go", "w").close()
for t in crowd + few:
    t.join()
order = [line.strip() for line in open("made")]
last = max(i for i, name in enumerate(order) if name == "few")
print(order)
# The first and the second may have been the crowd's; then they take turns.
if last > 7:
    sys.exit("the last of the few was served as number %d" % (last + 1))
PYTHON
