#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Each file of export-dir is an export with parameters of its own; the empty name
# is the command line's disk; other names are refused.

# shellcheck source=sessions.sh
. "$(dirname "$0")/sessions.sh"

# size EXPORT N: a client that asks only is told N bytes, without taking a disk.
size() {
    local got
    got=$(nbdinfo --size "nbd+unix:///$1?socket=$sock")
    [ "$got" -eq "$2" ] || fail "export '$1': got $got bytes, want $2"
}

# content EXPORT TYPE LABEL: what is on a disk of that export.
content() {
    rm -f image
    nbdcopy "nbd+unix:///$1?socket=$sock" image
    [ "$(tag image TYPE) $(tag image LABEL)" = "$2 $3" ] ||
        fail "export '$1': got $(tag image TYPE) $(tag image LABEL), want $2 $3"
}

# list: the names and descriptions that a client is shown, in their order.
list() {
    talk <<'PYTHON'
c = nbd.NBD()
c.set_opt_mode(True)
c.connect_unix(os.environ["sock"])
c.opt_list(lambda name, description: print("%s|%s" % (name, description)))
c.opt_abort()
PYTHON
}

mkdir exports
cat >exports/swap.conf <<'END'
# Swap.
export-description=Swap, for all = of them

type=swap
size=20M
label=netswap
session-grace=1h
session-key=name
END
cat >exports/b.2_x-Y.conf <<'END'
command=\
    printf "it's $colour \\n" >"$disk"\
    truncate -s 3M "$disk"
size=1M
END
echo 'type=xfs' | tee exports/.hidden.conf >exports/other.config

serve "$plugin" size=10M label=own colour=red export-description='The default' export-dir=exports session-grace=0
list >names
diff -u - names <<'END' || fail "another list"
|The default
b.2_x-Y|
swap|Swap, for all = of them
END
size '' 10485760
size swap 20971520
size b.2_x-Y 3145728
content '' ext4 own
content swap swap netswap
rm -f image
nbdcopy "nbd+unix:///b.2_x-Y?socket=$sock" image
[ "$(head -c 9 image)" = "it's red " ] || fail "another script: $(head -c 9 image)"
nbdsh -c - <<PYTHON
import nbd
c = nbd.NBD()
c.set_opt_mode(True)
c.connect_uri("nbd+unix:///swap?socket=$sock")
c.opt_info()
assert c.get_size() == 20 << 20
assert c.get_canonical_export_name is not None
c.opt_go()
PYTHON

# Sessions are the export's.
writes swap/one kept
finds swap/one kept
fresh swap/two
refuses b.2_x-Y/one
refuses /one
logged 'export "b.2_x-Y": has no sessions'

# Others are told, in the log, what there is.
for name in Swap swap.conf .hidden other other.config .. ../exports/swap swap/ "swap " "${sock//[^\/]/}"; do
    refuses "$name"
done
logged 'export "Swap": there is no such export: there are b.2_x-Y, swap'
stop_server "$server"

# Without a size there is no disk without a name.
serve "$plugin" export-dir="$work/exports" session-grace=1h colour=blue
list | cut -d'|' -f1 | diff - <(printf '%s\n' b.2_x-Y swap) || fail "the empty name is listed"
refuses ''
logged 'the client names no export, and the server has no size= for that: there are b.2_x-Y, swap'
content swap swap netswap
writes b.2_x-Y/one kept
finds b.2_x-Y/one kept
stop_server "$server"

# In every mode; a relative path is relative to where nbdkit was started.
serve_daemon "$plugin" export-dir=exports colour=blue
list | grep -q '^swap|' || fail "no list in the background"
content swap swap netswap
stop_server "$server"
# shellcheck disable=SC2016 # for nbdkit's shell
nbdkit -U - "$plugin" export-dir=exports colour=blue \
    --run 'nbdinfo --size "nbd+unix:///swap?socket=$unixsocket"' | grep -qx 20971520 || fail "--run"

nbdkit "$plugin" --help | grep -q 'export-dir=<DIR>' || fail "--help does not say export-dir"
nbdkit "$plugin" --dump-plugin >dump
grep -q '^tmpdisk_parameters=.* export-dir ' dump || fail "--dump-plugin does not say export-dir"
grep -q '^tmpdisk_types=.* ntfs ' dump || fail "--dump-plugin does not say ntfs"
