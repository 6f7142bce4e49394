#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# client-disks=2: each address has two disks at a time, from whatever port.

# shellcheck source=netns.sh
. "$(dirname "$0")/netns.sh"

two_machines
ip -n "$ns_client" address add 10.9.8.3/24 dev cable
serve_tcp "$plugin" size=10M type=swap client-disks=2
(inside "$ns_client" nbdsh -c -) <<'PYTHON'
import socket, sys, time

def connect(address):
    s = socket.socket()
    s.bind((address, 0))
    s.connect(("10.9.8.1", 10809))
    c = nbd.NBD()
    c.connect_socket(s.detach())
    return c

def refused(address):
    try:
        connect(address)
    except nbd.Error:
        return
    sys.exit("%s was not refused" % address)

two, three = "10.9.8.2", "10.9.8.3"
clients = [connect(two), connect(two)]
refused(two)
clients += [connect(three), connect(three)]
refused(three)
refused(two)
clients.pop(0).shutdown()
refused(three)
for i in range(3000):    # nbdkit closes the socket first, and then the disk
    try:
        clients.append(connect(two))
        break
    except nbd.Error:
        time.sleep(0.05)
refused(two)
PYTHON
has "$log" 'client "address 10.9.8.2" has 2 of client-disks=2'
has "$log" 'client "address 10.9.8.3" has 2 of client-disks=2'
