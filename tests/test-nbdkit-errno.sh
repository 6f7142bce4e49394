#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# The errno in a callback's error is what the client gets: ENOSPC stays ENOSPC.
# Without one it is what the callback gave to SetError, or else EIO. A refused
# fast zero is no error in the log.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=goplugin.sh
. "$top_srcdir/tests/goplugin.sh"

go_plugin internal/testplugin/faulty

export export=faulty
for how in errno pluginerror error seterror seterror+errno seterror+panic; do
    case $how in
    error) want=EIO text="pwrite: wrong on purpose" ;;
    seterror) want=ENOSPC text="pwrite: wrong on purpose" ;;
    seterror+panic) want=EIO text="pwrite: panic: on purpose" ;;
    *errno) want=ENOSPC text="pwrite: disk: no space left on device" ;;
    pluginerror) want=ENOSPC text="pwrite: full on purpose: no space left on device" ;;
    esac
    FAULTY=pwrite:$how serve ./faulty.so
    client "
import errno
try:
    h.pwrite(bytes(512), 0)
except nbd.Error as ex:
    assert ex.errnum == errno.$want, ex
else:
    raise SystemExit('no error')
h.zero(512, 0)
h.shutdown()"
    has "$log" "$text"
done

FAULTY=zero:notsup serve ./faulty.so
client "
import errno
h.zero(512, 0)  # the server writes them
try:
    h.zero(512, 0, nbd.CMD_FLAG_FAST_ZERO)
except nbd.Error as ex:
    assert ex.errnum == errno.EOPNOTSUPP, ex
else:
    raise SystemExit('no error')
h.shutdown()"
! grep "zero:" "$log" || fail "an error in the log"

# A callback that fails while the client connects refuses the client.
for at in preconnect:error open:error get_size:error get_size:negative \
    block_size:negative can_fua:error; do
    FAULTY=$at serve ./faulty.so
    uri="nbd+unix:///faulty?socket=$sock" refused
    export=good
    [ "$at" = preconnect:error ] || client 'h.pread(512, 0)'
    stop_server "$server" child
done
