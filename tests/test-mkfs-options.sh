#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# mkfs-options is split as by a shell, and reaches mkfs from the command line and from
# the files of exports; what cannot be is refused at the start, and what mkfs itself
# refuses is told to the client.

# shellcheck disable=SC2016 # a dollar that nobody expands
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mkfs.ext4 mkfs.xfs dumpe2fs

rejected 'mkfs-options: a single quote that is not closed' size=10M mkfs-options="-L 'a"
rejected 'mkfs-options: "\$" means something to the shell' size=10M mkfs-options='-L $x'
rejected 'mkfs-options: "/dev/x": is no option' size=10M mkfs-options=/dev/x
rejected 'mkfs-options: "-U": each disk has an identity of its own' size=10M mkfs-options='-U random'
rejected 'mkfs-options: .*leave this out, or command=' size=10M mkfs-options=-F command=:
rejected 'mkfs-options: .*leave this out, or base=' base=/dev/null mkfs-options=-F

echo "words"
serve "$plugin" size=10M mkfs-options="-L 'a  \$x' -M \"/it's here\"  -e remount-r\\o"
nbdcopy "$uri" disk
dumpe2fs -h disk >said.log
has said.log 'Filesystem volume name:   a  $x'
has said.log "Last mounted on:          /it's here"
has said.log 'Errors behavior:          Remount read-only'
stop_server "$server"

echo "the label is an option of its own, which comes first"
serve "$plugin" size=10M label=one mkfs-options='-L two'
nbdcopy "$uri" disk
[ "$(tag disk LABEL)" = two ] || fail "label $(tag disk LABEL), want two"
stop_server "$server"

echo "exports"
mkdir exports
echo 'label=plain' >exports/plain.conf
printf '%s\n' 'mkfs-options=-b 4096 -O quota' >exports/own.conf
printf '%s\n' 'type=xfs' 'size=320M' >exports/other.conf
printf '%s\n' 'type=xfs' 'size=320M' 'mkfs-options=-i size=1024' >exports/both.conf
serve "$plugin" size=10M mkfs-options='-b 2048' export-dir=exports
sock=${uri#*socket=}
for name in plain own other both; do
    nbdcopy "nbd+unix:///$name?socket=$sock" "$name"
done
dumpe2fs -h plain >said.log
has said.log 'Block size:               2048'
dumpe2fs -h own >said.log
has said.log 'Block size:               4096'
has said.log ' quota '
[ "$(xfs_db -r -c 'sb 0' -c 'print inodesize' other)" = 'inodesize = 512' ] || fail "other"
[ "$(xfs_db -r -c 'sb 0' -c 'print inodesize' both)" = 'inodesize = 1024' ] || fail "both"
stop_server "$server"
[ ! -s "$log" ] || { cat "$log"; fail "the log is not empty"; }

rm exports/*
printf '%s\n' 'size=1M' 'mkfs-options=-U random' >exports/wrong.conf
rejected 'wrong.conf: line 2: parameter mkfs-options: "-U"' export-dir=exports

echo "what mkfs refuses"
rejected 'mkfs.ext4: .*Invalid filesystem option set: .*no_such_feature' size=10M mkfs-options='-O no_such_feature'

echo "a disk that mkfs leaves empty"
serve "$plugin" size=10M mkfs-options='-n'
refused
has "$log" 'mkfs has written nothing to the disk'
stop_server "$server"

echo "a program that is not one of the types"
mkdir bin
cat >bin/mkfs.words <<'SCRIPT'
#!/bin/sh
for disk; do :; done
printf '%s|' "$@" | dd of="$disk" conv=notrunc status=none
SCRIPT
chmod +x bin/mkfs.words
PATH=$PATH:$PWD/bin
serve "$plugin" size=10M type=words label=l mkfs-options="-x 'a b'"
nbdcopy "$uri" disk
has disk '-L|l|-x|a b|/'
stop_server "$server"
