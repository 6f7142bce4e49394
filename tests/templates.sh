# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of template-dir: sourced in place of lib.sh.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# template-dir=, and what the plugin makes in it.
templates=$work/templates
private=$templates/nbdkit-tmpdisk-templates-$(id -u)
mkdir -m 700 "$templates"

# A command that notes its runs, and whose disk begins with $word.
# shellcheck disable=SC2034 # the tests use it
noting="echo >>'$work/ran'; printf %s \"\$word\" >\"\$disk\"; truncate -s \"\$size\" \"\$disk\""

runs() {
    wc -l 2>/dev/null <"$work/ran" || echo 0
}

# ran N: the command must have run N times by now.
ran() {
    [ "$(runs)" -eq "$1" ] || fail "the command ran $(runs) times, not $1"
}

# only_templates N: this many templates are there, and nothing else.
only_templates() {
    local names n
    names=$(ls -A "$private" 2>/dev/null || :)
    n=$(grep -cxE '[0-9a-f]{64}' <<<"$names" || :)
    [ "$n" -eq "$1" ] || fail "$n templates, not $1: $names"
    ! grep -vxE '[0-9a-f]{64}|' <<<"$names" || fail "that should not be there"
}

# begins WORD [OPTIONS]: a client's disk begins with WORD; it then spoils it.
begins() {
    nbdsh -c - <<PYTHON
h.connect_uri("$uri")
got = h.pread(len("$1"), 0)
assert got == b"$1", got
if not h.is_read_only():
    h.pwrite(b"spoilt!!", 0)
PYTHON
}

# mounted NAME SIZE MKFS...: make a filesystem by MKFS and mount it on NAME.
mounted() {
    local name=$1 size=$2
    shift 2
    requires loop "$1"
    truncate -s "$size" "$name.img"
    "$@" "$name.img"
    mkdir "$name"
    mount -o loop "$name.img" "$name"
    at_exit "umount '$work/$name'"
}
