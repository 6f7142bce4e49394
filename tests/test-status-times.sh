#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# How long requests take in the plugin is looked up for few of them, and told by the
# status, the metrics and nbdkit -v.

# shellcheck source=status.sh
. "$(dirname "$0")/status.sh"

serve -v "$plugin" size=10M type=swap status-file=run/lab.json metrics-file=run/lab.prom
talk <<'PYTHON'
c = connect("")
for i in range(2049):
    c.pread(512, 0)
for i in range(3):
    c.pwrite(b"four", 0)
c.shutdown()
PYTHON
# The first that does not go through Go, and one for each 256 after it.
must_be 'sum(d["latency"]["counts"]) == 1 + 2048 // 256'
logged '2049 reads of 1049088 bytes, 3 writes of 12, 0 trims, 0 zeroes; requests took: '
in_metrics() { grep -qx 'tmpdisk_request_seconds_count{server="lab"} 9' run/lab.prom; }
wait_for 60 in_metrics || fail "$(grep request_seconds_count run/lab.prom)"
