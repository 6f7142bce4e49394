#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With sector-size the client is told to keep to sectors, wherever its disk comes from,
# and what does not keep to them is served all the same. What cannot be is refused.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4 mkfs.xfs nbdinfo

# told MINIMUM ARGUMENTS...: what a client is told.
told() {
    local want=$1 got
    shift
    serve "$plugin" "$@"
    got=$(nbdinfo --json "$uri" | sed -n 's/.*"block_size_minimum": \([0-9]*\).*/\1/p')
    [ "$got" = "$want" ] || fail "minimum block size $got, want $want: $*"
    nbdsh -u "$uri" -c - <<'PYTHON'
least, best, most = (h.get_block_size(n) for n in (nbd.SIZE_MINIMUM, nbd.SIZE_PREFERRED, nbd.SIZE_MAXIMUM))
assert least <= best <= most and best % least == 0 and best >= 4096, (least, best, most)
h.set_strict_mode(h.get_strict_mode() & ~nbd.STRICT_ALIGN)
h.pwrite(b"odd", 5001)
h.zero(3, 6001)
h.trim(5, 7001)
assert h.pread(7, 4999) == h.pread(2, 4999) + b"odd" + h.pread(2, 5004)
PYTHON
    stop_server "$server"
}
for bytes in 512 1024 2048 4096; do
    told "$bytes" size=10M sector-size="$bytes"
done
told 1 size=10M
told 4096 size=10M sector-size=4096 command=:
truncate -s 1M base.img
told 4096 base=base.img sector-size=4096
told 512 base=base.img size=2M sector-size=512
told 4096 size=10M sector-size=4096 session-grace=1m

mkdir exports
printf '%s\n' size=10M sector-size=2048 >exports/own.conf
echo size=10M >exports/other.conf
serve "$plugin" export-dir=exports sector-size=1024
sock=${uri#*socket=}
for want in own=2048 other=1024; do
    nbdinfo --json "nbd+unix:///${want%=*}?socket=$sock" >said.log
    has said.log "\"block_size_minimum\": ${want#*=},"
done
stop_server "$server"

rejected 'sector-size: "8192": give one of 512, 1024, 2048, 4096' size=10M sector-size=8192
rejected 'sector-size: "04096": give one of' size=10M sector-size=04096
rejected 'sector-size: 4096: the disk has 10486272 bytes, which is not a multiple' size=10486272 sector-size=4096
rejected 'sector-size: 2048: minix has blocks of 1024 bytes' size=10M type=minix sector-size=2048
truncate -s 1000K base.img
told 512 base=base.img sector-size=512
truncate -s 1001 base.img
rejected 'sector-size: 512: the disk has 1001 bytes, which is not a multiple' base=base.img sector-size=512

# QEMU, as a virtual machine's disk with such sectors would be.
if ! command -v qemu-io >/dev/null || ! nbdkit --dump-plugin --filter=log null >/dev/null 2>&1; then
    echo "not tried: qemu-io"
    exit 0
fi

# odd ARGUMENTS...: how many requests of qemu-io do not keep to 4096 bytes.
odd() {
    serve --filter=log "$plugin" size=16M "$@" logfile="$work/requests.txt"
    qemu-io -f raw -c 'write -P 7 5000 100' -c 'read -P 7 5000 100' \
        "nbd+unix:///?socket=${uri#*socket=}" >qemu.log
    stop_server "$server"
    sed -n 's/.*\(Read\|Write\) .*offset=\(0x[0-9a-f]*\) count=\(0x[0-9a-f]*\).*/\2 \3/p' requests.txt >requests
    [ -s requests ] || fail "no request in $(cat requests.txt)"
    odd=0
    while read -r offset count; do
        [ $((offset % 4096 + count % 4096)) -eq 0 ] || odd=$((odd + 1))
    done <requests
}
odd
[ "$odd" -gt 0 ] || fail "qemu-io keeps to 4096 bytes by itself: this tests nothing"
odd sector-size=4096
[ "$odd" -eq 0 ] || fail "$odd requests do not keep to 4096 bytes: $(cat requests.txt)"
