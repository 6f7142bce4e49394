#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Each filter that is installed with nbdkit is tried with clients that have
# different disks. Those that the manual warns of fail, and no others. It says of each
# whether it may be used.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires tar xz gzip sfdisk mke2fs filter:error
filters=$(nbdkit --dump-config | sed -n 's/^filterdir=//p')

# The names in a document between two texts.
named() {
    sed -n "/$2/,/$3/p" "$1" | grep -oE "$4" | tr -d '`' | sed 's/^C<//; s/>$//' | sort -u
}
named "$top_srcdir/nbdkit-tmpdisk-plugin.pod" "^Do not use nbdkit's" '^$' 'C<[a-z0-9-]+>' >listed
# shellcheck disable=SC2016 # these are literal
named "$top_srcdir/SECURITY.md" "^Do not use nbdkit's" '^$' '`[a-z0-9-]+`' |
    diff listed - || fail "the manual (<) and SECURITY.md (>) name other filters"
named "$top_srcdir/nbdkit-tmpdisk-plugin.pod" "^These do no harm" '^$' 'C<[a-z0-9-]+>' >fine
for list in listed fine; do
    [ "$(wc -l <$list)" -gt 5 ] || fail "no list found in the manual"
done
[ -z "$(comm -12 listed fine)" ] || fail "in both lists: $(comm -12 listed fine)"

# The command: the Nth disk is N MiB and a bit, a view in the form that the
# filter makes a disk of, and its data stand where the other disks' do not.
cat >disk.sh <<'SHELL'
n=$(($(cat count) + 1)); echo "$n" >count
view=$work/view.$n
truncate -s "$((n * 1048576 + 65536))" "$view"
head -c 65536 /dev/urandom | dd of="$view" bs=65536 seek="$n" conv=notrunc status=none
case $form in
plain) cp --sparse=always "$view" "$disk" ;;
swab) dd if="$view" of="$disk" bs=65536 conv=swab,sparse,notrunc status=none
    truncate -s "$(stat -c %s "$view")" "$disk" ;;
gzip|bzip2|lzip) "$form" -c "$view" >"$disk" ;;
xz) xz -c --check=crc32 "$view" >"$disk" ;;
tar) tar -C "$work" -cf "$disk" --transform="s/.*/view/" "view.$n" ;;
qcow2dec) qemu-img convert -f raw -O qcow2 "$view" "$disk" ;;
luks) # On a busy machine it may find that it has used no CPU time at all.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        qemu-img convert -f raw -O luks --object secret,id=s,data=secret \
            -o key-secret=s,iter-time=10 "$view" "$disk" && break
    done ;;
partition)
    truncate -s "$((n * 1048576 + 3145728))" "$disk"
    echo "start=2048,size=$((n * 2048 + 128))" | sfdisk -q "$disk"
    dd if="$view" of="$disk" bs=65536 seek=16 conv=notrunc status=none ;;
ext2)
    mkdir "$work/root"
    cp --sparse=always "$view" "$work/root/view"
    truncate -s 20M "$disk"
    mke2fs -q -F -d "$work/root" "$disk"
    rm -r "$work/root" ;;
esac
SHELL

# Clients come one after the other and stay, unless the filter lets in only one
# at a time. Each must find its own view, also after another has written, and
# after a request of its own has failed.
cat >clients.py <<'PYTHON'
import os, nbd
name, work = os.environ["filter"], os.environ["work"]
def same(h, n, change, what):
    want = bytearray(open("%s/view.%d" % (work, n), "rb").read())
    want[131072:131072 + len(change)] = change
    assert h.get_size() == len(want), "%s: size %d, not %d" % (what, h.get_size(), len(want))
    got = b"".join(h.pread(min(65536, len(want) - o), o) for o in range(0, len(want), 65536))
    assert got == want, what + ": other content"
    at, all = 0, []
    def extents(context, offset, entries, err):
        all.extend(zip(entries[::2], entries[1::2]))
    while h.can_meta_context("base:allocation") and at < len(want):
        h.block_status(len(want) - at, at, extents)
        for length, flags in all:
            assert not flags & 2 or not any(want[at:at + length]), what + ": data called zeroes"
            at += length
        all.clear()
clients = []
def connect(n):
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.set_uri_allow_local_file(True)
    h.connect_uri(os.environ["uri"])
    assert not h.can_multi_conn(), "claims that all connections are one disk"
    same(h, n, b"", "client %d at first" % n)
    return h
if name == "ext2":
    for n in 1, 2, 3:
        connect(n).shutdown()
    raise SystemExit
for n in 1, 2, 3:
    clients.append(connect(n))
written = [b""] * 3
if not clients[0].is_read_only() and name not in ("checkwrite", "readonly"):
    for n, h in enumerate(clients):
        written[n] = bytes([65 + n]) * 8192
        h.pwrite(written[n], 131072)
        if h.can_flush():
            h.flush()
for n, h in enumerate(clients):
    same(h, n + 1, written[n], "client %d after writing" % (n + 1))
if os.path.exists(work + "/may-fail"):
    for n, h in enumerate(clients):
        open(work + "/fail", "w").close()
        try:
            h.pread(1, 0)
        except nbd.Error:
            pass
        os.unlink(work + "/fail")
        same(h, n + 1, written[n], "client %d after an error" % (n + 1))
clients[0].shutdown()
same(connect(4), 4, b"", "client 4")
PYTHON

# try FILTER [PARAMETER]...: 0 if it does no harm; 1 if it does, which is in why;
# 2 if it cannot be tried, and 124 if its clients hang, which is in why as well.
try() {
    local name=$1 form=plain tls=() below=(--filter=error) status=0
    shift
    case $name in
    gzip | bzip2 | lzip | xz | tar | luks | partition | ext2 | qcow2dec | swab) form=$name ;;
    indexed-gzip) form=gzip ;;
    esac
    case $form in
    luks | qcow2dec) program=qemu-img ;;
    plain | partition | ext2 | swab) program=true ;;
    *) program=$form ;;
    esac
    command -v "$program" >/dev/null || { echo "needs $program" >why && return 2; }
    [ "$name" != error ] || below=()
    # It would give the disk's holes for the file's, here and for any plugin.
    [ "$name" != ext2 ] || below+=(--filter=noextents)
    rm -f view.* fail may-fail
    echo 0 >count
    sock=$work/$name.sock
    uri="nbd+unix:///?socket=$sock"
    if [ "$name" = tls-fallback ]; then
        echo "client:00112233445566778899aabbccddeeff" >psk
        tls=(--tls=on --tls-psk="$work/psk")
        uri="nbds+unix://client@/?socket=$sock&tls-psk-file=$work/psk"
    fi
    : >why
    # shellcheck disable=SC2016 # for the command
    nbdkit -f -U "$sock" -P "$name.pid" "${tls[@]}" --filter="$name" "${below[@]}" "$plugin" \
        size=0 form="$form" work="$work" count="$work/count" \
        command='cd "$work"; . ./disk.sh' "$@" ${below:+error-pread=EIO error-pread-rate=100%} \
        ${below:+error-pread-file="$work/fail"} >"$name.log" 2>&1 &
    local pid=$!
    wait_for 30 server_decided "$pid" "$name.pid" || fail "$name: nbdkit neither listens nor ends"
    if gone "$pid"; then
        wait "$pid" || :
        tail -n 1 "$name.log" >why
        return 2
    fi
    [ "${#below[@]}" -eq 0 ] || touch may-fail
    filter=$name uri=$uri work=$work timeout -k 9 600 /usr/bin/python3 clients.py >out 2>&1 || status=$?
    case $status in
    0) ;;
    124) echo "the clients hang; whether it does harm is not known" >why ;;
    *) status=1 && tail -n 1 out >why ;;
    esac
    if gone "$pid" && [ "$name" != exitlast ]; then
        echo "the server has ended; $(cat why)" >why
        status=1
    fi
    kill -TERM "$pid" 2>/dev/null || :
    if ! wait_for 15 gone "$pid"; then
        kill -KILL "$pid"
        echo "the server does not end; $(cat why)" >why
        status=1
    fi
    wait "$pid" 2>/dev/null || :
    return "$status"
}

printf '%s\n' '0x0 + 1' '0x0 0x10000000 +' >map
echo '0 256M' >extents
bad=0 tried=0
for file in "$filters"/nbdkit-*-filter.so; do
    name=${file##*/nbdkit-}
    name=${name%-filter.so}
    case $name in
    ddrescue) args=(ddrescue-mapfile=map) ;;
    error) args=(error-rate=0) ;;
    ext2) args=(ext2file=/view) ;;
    extentlist) args=(extentlist=extents) ;;
    evil) args=(evil-probability=0) ;;
    indexed-gzip) args=(gzip-index-path="$work/index") ;;
    limit) args=(limit=9) ;;
    log) args=(logfile=requests) ;;
    luks) args=(passphrase=secret) ;;
    partition) args=(partition=1) ;;
    pause) args=(pause-control="$work/pause") ;;
    protect) args=(protect=0-511) ;;
    retry) args=(retry-delay=1 retries=1) ;;
    retry-request) args=(retry-request-delay=1 retry-request-retries=1) ;;
    stats) args=(statsfile=statistics) ;;
    tar) args=(tar-entry=view) ;;
    truncate) args=(round-up=512) ;;
    xor) args=(xor=0 xorlen=1) ;;
    *) args=() ;;
    esac
    status=0
    try "$name" "${args[@]}" || status=$?
    was=harmless
    ! grep -qx "$name" listed || was=listed
    tried=$((tried + 1))
    case $status,$was in
    0,harmless | 1,listed | 124,listed) echo "$name: $was, as it should be. $(cat why)" ;;
    0,listed)
        echo "$name: the manual warns of it, but it does no harm"
        # In a later nbdkit it may have become better.
        case $(nbdkit --version) in "nbdkit 1.32."*) bad=1 ;; esac
        ;;
    1,harmless) echo "$name: the manual does not warn of it: $(cat why)" && bad=1 ;;
    124,harmless) echo "$name: $(cat why)" && bad=1 ;;
    2,*) echo "$name: not tried: $(cat why)" ;;
    esac
    grep -qx "$name" listed fine || { echo "$name: the manual does not mention it" && bad=1; }
done
[ "$tried" -gt 10 ] || fail "only $tried filters in $filters"
[ "$bad" -eq 0 ] || fail "the list in the manual is not right"
