# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced first by every test-*.sh. The first time round it is the supervisor:
# it runs the same script again as a child that carries a marker in its
# environment, and looks afterwards for what the child left behind. So the
# checks do not depend on how a test ends, nor on its author.
#
# A test finds itself in an empty directory, with TMPDIR set to another one,
# and these set: $plugin, $top_srcdir, $builddir. README.md lists the helpers.

set -euo pipefail
umask 022

# nbdsh runs the first python3 on PATH, which must be the distribution's.
PATH=/usr/bin:/usr/sbin:/bin:/sbin:$PATH
export PATH LC_ALL=C.UTF-8
unset LISTEN_FDS LISTEN_PID MAKEFLAGS MFLAGS MAKELEVEL

top_srcdir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
builddir=${TMPDISK_BUILDDIR:-$top_srcdir}
# shellcheck disable=SC2034 # the tests use it
plugin=${TMPDISK_PLUGIN:-$builddir/tmpdisk.so}

check_processes() {
    local pid left
    left=$(/usr/bin/python3 "$top_srcdir/tests/strays.py" "$dir")
    [ -n "$left" ] || return 0
    for pid in $left; do
        echo "left behind: process $pid:" \
            "$(tr '\0\n' '  ' 2>/dev/null <"/proc/$pid/cmdline")"
        kill -KILL "$pid" 2>/dev/null || :
    done
    return 1
}

check_mounts() {
    local mounts mount bad=0
    mounts=$(awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' \
        /proc/self/mountinfo | tac)
    while [ -n "$mounts" ] && IFS= read -r mount; do
        mount=$(printf %b "$mount")
        echo "left behind: mount $mount"
        umount -l "$mount" 2>/dev/null || fusermount3 -uz "$mount" || :
        bad=1
    done <<<"$mounts"
    return "$bad"
}

# loops prints the loop devices whose file is below $dir.
loops() {
    local file
    for file in /sys/block/loop*/loop/backing_file; do
        [ -e "$file" ] || continue
        case $(cat "$file" 2>/dev/null) in
        "$dir"/*) echo "/dev/$(basename "${file%/loop/backing_file}")" ;;
        esac
    done
}

check_loops() {
    local i loop
    # The kernel frees a device some time after the umount, when whatever
    # else had a look at it (blkid, udev) has closed it.
    for i in {1..600}; do
        [ -n "$(loops)" ] || return 0
        sleep 0.2
    done
    for loop in $(loops); do
        echo "left behind: loop device $loop"
        losetup -d "$loop" || :
    done
    return 1
}

check_files() {
    local left
    left=$(find "$dir/tmp.d" -mindepth 2 -printf '%M %s %p\n' 2>/dev/null)
    [ -n "$left" ] || return 0
    echo "left behind in TMPDIR:"
    echo "$left"
    return 1
}

# A test, and a server that it starts, begins with no descriptor but 0, 1 and
# 2, whatever make or a terminal had open. bash keeps 255 for the script.
close_descriptors() {
    local fd
    for fd in "/proc/$BASHPID/fd"/*; do
        fd=${fd##*/}
        [ "$fd" -le 2 ] || [ "$fd" -eq 255 ] || eval "exec $fd>&-"
    done
}

supervise() {
    local status=0 log
    close_descriptors
    dir=$(mktemp -d "${TMPDISK_TEST_BASE:-/var/tmp}/tmpdisk-test.XXXXXX")
    mkdir -p "$dir/tmp.d/default" "$dir/work"
    trap : INT TERM HUP
    /usr/bin/python3 "$top_srcdir/tests/watch.py" "$dir" "${TMPDISK_TEST_TIMEOUT:-180}" \
        bash "$0" "$@" || status=$?
    # Processes first: they may hold a mount, and still write to TMPDIR.
    check_processes || status=1
    check_mounts || status=1
    check_loops || status=1
    check_files || status=1
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        for log in "$dir"/work/*.log; do
            [ -e "$log" ] || continue
            echo "--- ${log##*/} (the last lines)"
            tail -n 50 "$log"
        done
        echo "FAIL: $0 (exit status $status)"
    fi
    chmod -R u+rwX "$dir" 2>/dev/null || :
    rm -rf --one-file-system "$dir"
    exit "$status"
}

if [ -z "${TMPDISK_TEST_DIR-}" ]; then
    supervise "$@"
fi

# From here on this is the test's own process.

work=$TMPDISK_TEST_DIR/work
cd "$work"
export TMPDIR=$TMPDISK_TEST_DIR/tmp.d/default
[ -z "${TMPDISK_TEST_TRACE-}" ] || set -x

fail() {
    echo "$0: $*"
    exit 1
}

# skip ends the test as skipped; where it may not be skipped, as failed.
skip() {
    echo "$0: skipped: $*"
    case " ${TMPDISK_MAY_SKIP-} " in
    *" ${0##*/} "*) exit 77 ;;
    esac
    [ -z "${TMPDISK_NO_SKIP-}" ] || fail "TMPDISK_NO_SKIP is set: a skip is a failure"
    exit 77
}

# requires WHAT...: skip unless each of these is there. WHAT is root, fuse
# (a usable /dev/fuse), loop (loop devices and mounts), filter:NAME,
# kernel:FILESYSTEM, or the name of a program.
requires() {
    local what
    for what; do
        case $what in
        root) [ "$(id -u)" -eq 0 ] || skip "needs root" ;;
        fuse) { [ -r /dev/fuse ] && [ -w /dev/fuse ]; } || skip "needs /dev/fuse" ;;
        loop)
            requires root
            [ -e /dev/loop-control ] || skip "needs loop devices"
            ;;
        filter:*)
            nbdkit --dump-plugin --filter="${what#filter:}" null >/dev/null 2>&1 ||
                skip "needs nbdkit's ${what#filter:} filter"
            ;;
        kernel:*)
            modprobe "${what#kernel:}" 2>/dev/null || :
            grep -qw "${what#kernel:}" /proc/filesystems ||
                skip "needs a kernel that can mount ${what#kernel:}"
            ;;
        *) command -v "$what" >/dev/null || skip "needs $what" ;;
        esac
    done
}

# use_go: go to the tree, with the Go that configure found, first in PATH for
# the sake of tests that call go themselves.
use_go() {
    GO=${GO:-$(command -v go || echo /usr/local/go/bin/go)}
    PATH=$(dirname "$GO"):$PATH
    cd "$top_srcdir"
}

# plugin_name prints what configure was told, by which nbdkit knows the plugin.
plugin_name() {
    [ ! -e "$builddir/Makefile" ] || sed -n 's/^plugin_name = //p' "$builddir/Makefile"
    [ -e "$builddir/Makefile" ] || echo tmpdisk
}

# copy_tree DIR [TAR-OPTION]...: copy what builds the plugin, to DIR.
copy_tree() {
    mkdir -- "$1"
    # Not the tests, whose logs grow meanwhile; 1 is what tar says to the like.
    {
        tar -C "$top_srcdir" -cf - --exclude=.git --exclude=./_build \
            --exclude=./_inst --exclude=./tests "${@:2}" . || [ $? -eq 1 ]
    } | tar -xf - -C "$1"
    chmod -R u+w -- "$1"
}

# at_exit CODE: run CODE when the test ends, however it ends, the last one
# first. CODE that fails makes the test fail; it must not exit.
at_exit_stack=()
at_exit() {
    at_exit_stack+=("$1")
}

finish() {
    local status=$? i
    trap - EXIT
    for ((i = ${#at_exit_stack[@]} - 1; i >= 0; i--)); do
        eval "${at_exit_stack[i]}" || status=1
    done
    exit "$status"
}
trap finish EXIT

# wait_for SECONDS COMMAND...: until COMMAND succeeds, which on a machine with nothing
# else to do takes SECONDS at most; fails after twelve times that.
wait_for() {
    within "$(($1 * 12))" "${@:2}"
}

# within SECONDS COMMAND...: the same, but fails after SECONDS. For what may as well
# not come true.
within() {
    local n=$(($1 * 20))
    shift
    until "$@"; do
        n=$((n - 1))
        [ "$n" -gt 0 ] || return 1
        sleep 0.05
    done
}

alive() {
    local status
    status=$(cat "/proc/$1/status" 2>/dev/null) || return 1
    # A process that nobody has waited for is still there for kill -0. While it
    # has other threads, they may have files open.
    [[ $status != *State:$'\t'Z* || $status != *Threads:$'\t'1$'\n'* ]]
}

gone() {
    ! alive "$1"
}

# serve ARGUMENTS...: start nbdkit in the foreground on a private socket and
# wait until it listens. Sets $uri, $sock, $log (its standard error) and
# $server, the process ID.
servers=0
serve() {
    new_server
    nbdkit -f -U "$sock" -P "$pidfile" "$@" >"$log" 2>&1 &
    server=$!
    at_exit "stop_server $server child"
    wait_for 30 server_decided "$server" "$pidfile" ||
        fail "nbdkit did not start listening"
    alive "$server" || fail "nbdkit ended before it listened: nbdkit $*"
}

# serve_daemon ARGUMENTS...: the same, but let nbdkit go into the background as
# it does by default. $log has what it writes before.
serve_daemon() {
    new_server
    nbdkit -U "$sock" -P "$pidfile" "$@" >"$log" 2>&1 || fail "nbdkit $*"
    wait_for 30 test -s "$pidfile" || fail "no pid file"
    server=$(cat "$pidfile")
    at_exit "stop_server $server"
}

new_server() {
    servers=$((servers + 1))
    sock=$work/s$servers
    pidfile=$work/s$servers.pid
    uri="nbd+unix:///?socket=$sock"
    log=$work/nbdkit$servers.log
}

server_decided() {
    [ -s "$2" ] || gone "$1"
}

# stop_server PID [child]: end a server as an administrator does, by SIGTERM.
# One that ended by itself, ends with a failure (which only the parent of a
# child can know), or does not end fails the test.
stop_server() {
    local status=0
    [ ! -e "$work/stopped.$1" ] || return 0
    : >"$work/stopped.$1"
    if gone "$1"; then
        echo "$0: nbdkit (process $1) ended by itself"
        return 1
    fi
    kill -TERM "$1"
    if ! wait_for 15 gone "$1"; then
        echo "$0: nbdkit (process $1) did not end on SIGTERM"
        kill -KILL "$1"
        return 1
    fi
    [ "${2-}" != child ] || wait "$1" || status=$?
    [ "$status" -eq 0 ] || echo "$0: nbdkit (process $1) ended with status $status"
    return "$status"
}

# refused: connecting to $uri must fail, and by the server's doing.
refused() {
    nbdsh -c - <<PYTHON
h.set_uri_allow_local_file(True)
try:
    h.connect_uri("$uri")
except nbd.Error as ex:
    print("refused, as it should be:", ex)
else:
    raise SystemExit("the connection was accepted")
PYTHON
}

# rejected TEXT ARGUMENTS...: nbdkit with the plugin and these ends before it forks, with
# status 1, no pid file, and an error that has TEXT, a pattern, in it: in the foreground and
# in the background. What hangs is ended after five minutes.
rejected() {
    local text=$1 mode status
    shift
    for mode in -f ''; do
        status=0
        # shellcheck disable=SC2086 # no argument if empty
        timeout 300 nbdkit $mode -U "$work/sock" -P "$work/pid" "$plugin" "$@" \
            2>err.log || status=$?
        [ "$status" -eq 1 ] || fail "status $status, want 1: nbdkit $mode $*"
        grep -q "error: .*$text" err.log || {
            cat err.log
            fail "not in the error: $text: nbdkit $mode $*"
        }
        [ ! -e pid ] || fail "it wrote a pid file: nbdkit $mode $*"
    done
}

# exercise: two clients, one after the other, each use a fresh disk at $uri.
exercise() {
    uri=$uri nbdsh -c - <"$top_srcdir/tests/exercise.py"
}

# has FILE TEXT: FILE must contain the fixed string TEXT.
has() {
    grep -qF -e "$2" "$1" || {
        cat "$1"
        fail "not in ${1##*/}: $2"
    }
}

# use_tmpdir NAME: make a directory of that name and let TMPDIR be it.
use_tmpdir() {
    TMPDIR=$TMPDISK_TEST_DIR/tmp.d/$1
    mkdir -- "$TMPDIR"
}

# sessions_stay: the servers of this test leave the disks of their sessions where disks
# are made, as they should. That is to be said before the first server is started.
sessions_stay() {
    at_exit forget_sessions
}

# forget_sessions: remove them, so that the next server knows of none.
forget_sessions() {
    rm -rf "$TMPDIR"/nbdkit-tmpdisk-sessions-*
}

# attach URI: let the loop device $loop be the disk, to be mounted at mnt.
attach() {
    mkdir fuse mnt
    nbdfuse fuse/disk "$1" &
    at_exit "umount fuse; wait $!"
    wait_for 20 test -e fuse/disk
    loop=$(losetup -f --show fuse/disk)
    at_exit "losetup -d $loop"
    at_exit '! mountpoint -q mnt || umount mnt'
}

# small_tmpdir SIZE: let TMPDIR be a filesystem of its own of SIZE bytes.
small_tmpdir() {
    requires loop mkfs.ext4
    truncate -s "$1" small.img
    mkfs.ext4 -q -F -m 0 small.img
    use_tmpdir small
    mount -o loop small.img "$TMPDIR"
    rmdir "$TMPDIR/lost+found"
    at_exit "check_empty '$TMPDIR' && umount '$TMPDIR'"
}

check_empty() {
    if [ -n "$(ls -A "$1")" ]; then
        ls -lAR "$1"
        umount -l "$1"
        echo "$0: left behind in TMPDIR"
        return 1
    fi
}

# tag FILE NAME: what blkid says of a disk image: TYPE, LABEL, UUID ...
tag() {
    blkid -p -o value -s "$2" "$1"
}
