#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# promtool finds no fault with the metrics or with the dashboard's queries, and a
# real node_exporter serves every one of the metrics. The Go tests compare the file
# used here with what is written.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires promtool prometheus-node-exporter
metrics=$top_srcdir/tmpdisk/status/testdata/metrics.prom

promtool check metrics <"$metrics" >out 2>&1 || fail "promtool: $(cat out)"
[ ! -s out ] || fail "promtool: $(cat out)"

/usr/bin/python3 - "$top_srcdir/examples/grafana-dashboard.json" >rules.json <<'PYTHON'
import json, re, sys
panels = json.load(open(sys.argv[1]))["panels"]
queries = [re.sub(r"\$__rate_interval", "1m", t["expr"]) for p in panels for t in p["targets"]]
rules = [{"record": "query:%d" % n, "expr": query} for n, query in enumerate(queries)]
assert len(rules) > 10
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)
PYTHON
promtool check rules rules.json >out 2>&1 || fail "promtool: $(cat out)"

# What a server has not finished yet must not be served.
mkdir textfiles
cp "$metrics" textfiles/lab.prom
head -c 1000 "$metrics" >textfiles/.lab.prom.tmp.0123456789abcdef0123
prometheus-node-exporter --web.listen-address=127.0.0.1:0 --collector.disable-defaults \
    --collector.textfile --collector.textfile.directory=textfiles 2>exporter.log &
exporter=$!
at_exit "kill $exporter; wait $exporter || :"
listens() { address=$(sed -n 's/.*"Listening on" address=//p' exporter.log) && [ -n "$address" ]; }
wait_for 30 listens || fail "node_exporter does not listen"

/usr/bin/python3 - "$metrics" "http://$address/metrics" <<'PYTHON'
import re, sys, urllib.request

def samples(text):
    """{(name, sorted labels): value} of the metrics that are ours."""
    found = {}
    for line in text.split("\n"):
        match = re.match(r"(tmpdisk_\w+){(.*)} (\S+)$", line)
        if match:
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2])
            found[match[1], tuple(sorted(labels))] = float(match[3])
    return found

want = samples(open(sys.argv[1]).read())
served = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[2]).read().decode()
got = samples(served)
assert "\nnode_textfile_scrape_error 0\n" in served, served
assert len(want) > 100
assert got == want, sorted(set(got.items()) ^ set(want.items()))
PYTHON
