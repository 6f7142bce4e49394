#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Servers that share a GlusterFS volume are killed, cut off and stopped at random, and
# bricks are killed (see gluster-chaos.py). All that was flushed is there, nothing older
# comes back, and nothing of a server that was cut off comes. TMPDISK_CHAOS_ROUNDS says
# for how many rounds, TMPDISK_CHAOS_SEED repeats the choices of a run.

# shellcheck source=gluster.sh
. "$(dirname "$0")/gluster.sh"

volume
export plugin rounds=${TMPDISK_CHAOS_ROUNDS:-2} seed=${TMPDISK_CHAOS_SEED-}
clients <"$top_srcdir/tests/gluster-chaos.py"
