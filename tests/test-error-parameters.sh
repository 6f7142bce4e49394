#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A parameter that is wrong ends nbdkit before it forks, with status 1 and an
# error that names the parameter.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rejected size
rejected size size=large
rejected size size=-1
rejected size size=9999999999999999999999
rejected size size=0
rejected disk size=1M disk=/tmp/x
rejected no-such-parameter size=1M no-such-parameter=1
rejected 'fstype: unknown, and without command= nothing reads it; did you mean type=?' size=1M fstype=xfs
rejected 'timeout: unknown, and without command= nothing reads it' size=1M timeout=5
rejected type size=1M type=../../tmp/x
rejected type size=1M 'type=ext4; id'
rejected "command-link: there is no such parameter any more" size=1M command=: command-link=share
rejected label size=1M type=xfs label=thirteen-char
rejected client-timeout size=1M client-timeout=1s
rejected client-timeout size=1M client-timeout=never
rejected min-free size=1M min-free=much
rejected min-free size=1M min-free=100%
