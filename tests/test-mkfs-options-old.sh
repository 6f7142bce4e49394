#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# With the options that the manual page gives for old clients, disks have no feature that
# these do not know. For btrfs and f2fs that takes no options.

# shellcheck source=fs.sh
. "$(dirname "$0")/fs.sh"

requires mkfs.ext4 mkfs.xfs mkfs.btrfs mkfs.f2fs xfs_db

# number FILE OFFSET big|little: 32 bits.
number() { od -An -tu4 --endian="$3" -j"$2" -N4 "$1" | tr -d ' '; }
# features TYPE FILE: its words of features, those that keep a client out.
features() {
    case $1 in
    ext4) echo "$(number "$2" 1116 little) $(number "$2" 1120 little) $(number "$2" 1124 little)" ;;
    xfs) echo "$(number "$2" 208 big) $(number "$2" 212 big) $(number "$2" 216 big)" ;;
    btrfs) echo "$(number "$2" 65716 little) $(number "$2" 65724 little)" ;;
    f2fs) number "$2" 3204 little ;;
    esac
}
# What each client knows, of such words. The compatible features of ext4 keep e2fsck out,
# and Linux once there are orphans in a file.
declare -A knows=(
    ["Linux 5.4 ext4"]="0xfff 0x3e7d6 0xb7ff" ["Linux 5.10 ext4"]="0xfff 0x3e7d6 0xb7ff"
    ["e2fsck 1.46 ext4"]="0xfff 0x3e7d6 0xb7ff"
    ["Linux 5.4 xfs"]="0 0x7 0x7" ["Linux 5.10 xfs"]="0 0xf 0xf" ["Linux 5.15 xfs"]="0 0xf 0x1f"
    ["Linux 5.4 btrfs"]="0x3 0x7ff" ["Linux 5.4 f2fs"]="0x1fff"
)

# check CLIENT TYPE TEXT: sets $new if there is something that the client does not know.
check() {
    local known have i
    serve "$plugin" type="$2" size=400M ${3:+mkfs-options="$3"}
    rm -f disk
    nbdcopy "$uri" disk
    stop_server "$server"
    [ ! -s "$log" ] || { cat "$log"; fail "the log is not empty"; }
    clean "$2" disk
    [ -n "${knows[$1 $2]-}" ] || fail "nobody has said what $1 knows of $2"
    read -ra known <<<"${knows[$1 $2]}"
    read -ra have <<<"$(features "$2" disk)"
    [ "${#known[@]}" -eq "${#have[@]}" ] || fail "${have[*]}"
    new=
    for i in "${!known[@]}"; do
        [ $((have[i] & ~known[i])) -eq 0 ] || new="$new $(printf '%d: %#x' "$i" $((have[i] & ~known[i])))"
    done
    echo "$1 type=$2 $3: ${have[*]}"
}

sed -n "s/^ \(\(Linux\|e2fsck\) [0-9.]*\)  *type=\([a-z0-9]*\) mkfs-options='\(.*\)'\$/\1|\3|\4/p" \
    "$top_srcdir/nbdkit-tmpdisk-plugin.pod" >table
[ "$(wc -l <table)" -eq 6 ] || fail "the manual page has these lines: $(cat table)"
while IFS='|' read -r client type text <&3; do
    check "$client" "$type" "$text"
    [ -z "$new" ] || fail "$client does not know of $type with $text:$new"
done 3<table
for type in btrfs f2fs; do
    check "Linux 5.4" "$type" ""
    [ -z "$new" ] || fail "Linux 5.4 does not know of $type:$new"
done
check "Linux 5.4" xfs ""
[ -n "$new" ] || fail "Linux 5.4 knows all of xfs: this tests nothing"
