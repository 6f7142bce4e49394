#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The disk of an idle client whose network dies is freed; while the network is
# up an idle client keeps its disk. nbdkit's own options for this, from 1.42 on,
# change nothing about that.

# shellcheck source=netns.sh
. "$(dirname "$0")/netns.sh"

two_machines
options=()
! nbdkit --help | grep -q -e '--timeout=' || options=(--keepalive --timeout=3)
serve_tcp "${options[@]}" "$plugin" size=10M client-timeout=4s
client '
ready()
time.sleep(3600)'
disks_are 1 || fail "got $(disks) disks, want 1"
# More than twice the timeout.
sleep 9
disks_are 1 || fail "an idle client lost its disk"
link_down
wait_for 30 disks_are 0 || fail "the dead client's disk is still there"
