#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit does not start with an export whose file is wrong, or that somebody else
# could change: the error names the file, the line and the remedy.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# wrong TEXT...: nbdkit must not start, and say each TEXT.
wrong() {
    local text
    ! nbdkit -U "$work/sock" "$plugin" "${args[@]}" export-dir="$work/exports" --run 'echo it ran' >out 2>&1 ||
        fail "it started"
    ! grep -q 'it ran' out || fail "it served"
    for text; do
        has out "$text"
    done
    rm -rf exports
    mkdir exports
}

# write NAME TEXT: exports/NAME.conf, TEXT as printf has it.
write() {
    # shellcheck disable=SC2059 # on purpose
    printf "$2" >"exports/$1.conf"
}

mkdir exports
args=()
write a 'size=1M\n\n# x\ntype=../x\n'
wrong 'exports/a.conf: line 4: parameter type: "../x"'
write a 'size=1M\nszie=2M\n'
wrong 'exports/a.conf: line 2: parameter szie: unknown' 'did you mean size=?'
write a 'label=x\n'
wrong 'exports/a.conf: parameter size: missing'
write a 'size=1M\nlabel=%0100d\ntype=ext4\n'
wrong 'exports/a.conf: line 2: parameter label: ' 'at most 16'
write a 'size=1M\nnothing\n'
wrong 'exports/a.conf: line 2: '
write a 'size=1M\ntype=xf'
wrong 'exports/a.conf: line 2: '
write a ''
wrong 'exports/a.conf: '
write 'a b' 'size=1M\n'
wrong 'a b.conf'
write 'ok' 'size=1M\n'
mkdir exports/dir.conf
wrong 'exports/dir.conf'
write a 'size=1M\ncommand=x\\\ndisk=1\n' # a line of the script
write b 'size=1M\ndisk=1\n'
wrong 'exports/b.conf: line 2: parameter disk: cannot be set'
for p in make-jobs=1 client-timeout=1m export-dir=. session-dir=. session-sync=yes \
    session-max=1 command-user=root \
    client-disks=1 client-rate=1M client-iops=1 status-file=a metrics-file=a.prom; do
    write a "size=1M\n$p\n"
    wrong "exports/a.conf: line 2: parameter ${p%%=*}: is the server's as a whole: give it on the command line"
done
write a 'size=1M\nsession-key=name\n'
wrong 'exports/a.conf: line 2: parameter session-key: only works with session-grace='
args=(size=1M type=minix)
write a 'label=x\n'
wrong 'exports/a.conf: line 1: parameter label: minix has no labels'
args=(size=1M command='true' template-dir="$work")
write a 'command=\n'
chmod go+w exports/a.conf
wrong 'exports/a.conf' 'mode 0666' 'chmod go-w'
write a 'size=1M\n'
chmod o+w exports
wrong "$work/exports" 'mode 0757' 'chmod go-w'
write a 'size=1M\n'
chmod 1777 exports
wrong "$work/exports" 'mode 1777'
args=(size=1M)
write a 'size=1M\n'
mv exports/a.conf there
chmod 666 there
ln -s "$work/there" exports/a.conf
wrong 'exports/a.conf' 'mode 0666'
ln -s nowhere exports/a.conf
wrong 'exports/a.conf' 'no such file'
rmdir exports
: >exports
wrong "$work/exports"
rm -rf exports
args=(size=1M)
nbdkit -U "$work/sock" "$plugin" size=1M export-dir= --run : >out 2>&1 && fail "an empty name was taken"
has out 'parameter export-dir: empty'
nbdkit -U "$work/sock" "$plugin" size=1M export-dir=missing --run : >out 2>&1 && fail "a missing directory was taken"
has out 'no such file'

if [ "$(id -u)" -eq 0 ]; then
    mkdir exports
    write a 'size=1M\n'
    chown 12345 exports/a.conf
    wrong 'exports/a.conf' '12345'
    write a 'size=1M\n'
    chown 12345 exports
    wrong "$work/exports" '12345'
    rmdir exports
fi

# What is right: a link to a file that passes, an empty directory, and what the
# command line has is done without.
mkdir exports
args=(size=1M command='exit 1' template-dir="$work" session-key=name)
printf 'command=\ntemplate-dir=\n' >there
chmod 644 there
ln -s ../there exports/a.conf
# shellcheck disable=SC2016 # for nbdkit's shell
nbdkit -U "$work/sock" "$plugin" "${args[@]}" export-dir=exports \
    --run 'nbdinfo --size "nbd+unix:///a?socket=$unixsocket"' | grep -qx 1048576 || fail "a link"
