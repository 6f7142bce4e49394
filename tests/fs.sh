# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of one type= each: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# check_type TYPE SIZE LABEL BLKID-TYPE CHECKER...: a client of type=TYPE with
# this size, and label= unless LABEL is empty, must see what blkid calls
# BLKID-TYPE with that label, and CHECKER must find no fault in it.
check_type() {
    local type=$1 size=$2 label=$3 want=$4 got
    shift 4
    echo "type=$type size=$size label=$label"
    serve "$plugin" type="$type" size="$size" ${label:+label="$label"}
    rm -f disk.img
    nbdcopy "$uri" disk.img
    stop_server "$server"
    got=$(tag disk.img TYPE)
    [ "$got" = "$want" ] || fail "blkid: got type $got, want $want"
    got=$(tag disk.img LABEL)
    [ "$got" = "$label" ] || fail "blkid: got label $got, want $label"
    "$@" disk.img || fail "$1 found faults"
}
