# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# quickstart, check and .ci/debian13 source this file. It finds what is missing on this machine,
# installs it with apt-get (the only step that needs root), and finds Go.

# shellcheck disable=SC2034 # the scripts that source this use the lists

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin:/usr/lib/go/bin
export PATH

# Each line has a program or file, the Debian and Ubuntu package that has it, and
# what it is needed for.
build_needs='
gcc                        gcc               compile the part that nbdkit loads
/usr/include/stdio.h       libc6-dev         the headers of the C library
nbdkit                     nbdkit            the server that runs the plugin
/usr/include/nbdkit-plugin.h nbdkit-plugin-dev  the headers of nbdkit
pkg-config                 pkg-config        find those headers
/etc/ssl/certs/ca-certificates.crt ca-certificates  fetch Go modules safely
'

client_needs='
nbdinfo                    libnbd-bin        a client, to show what clients see
blkid                      util-linux        tell what is on a disk
'

# The programs that make disks, for each type= that the plugin knows.
mkfs_needs='
mkfs.ext4                  e2fsprogs         type=ext2, ext3, ext4
mkfs.xfs                   xfsprogs          type=xfs
mkfs.vfat                  dosfstools        type=vfat, fat, msdos
mkfs.ntfs                  ntfs-3g           type=ntfs
mkfs.btrfs                 btrfs-progs       type=btrfs
mkfs.exfat                 exfatprogs        type=exfat
mkfs.f2fs                  f2fs-tools        type=f2fs
mkfs.minix                 util-linux-extra  type=minix
mkswap                     util-linux        type=swap
'

test_needs='
autoreconf                 autoconf          make the configure script
automake                   automake          make the configure script
make                       make              build and run the tests
pod2man                    perl              make and check the manual page
git                        git               compare a release with the tree
nbdsh                      python3-libnbd    the client that most tests use
fusermount3                fuse3             mount disks through nbdfuse
qemu-io                    qemu-utils        stand in for a virtual machine
bindfs                     bindfs            give TMPDIR a filesystem in user space
glusterd                   glusterfs-server  let two servers share a filesystem
glusterfs                  glusterfs-client  mount it
gluster                    glusterfs-cli     set it up
losetup                    mount             mount disks through loop devices
sfdisk                     fdisk             make partitions
setpriv                    util-linux        run as an ordinary user
ip                         iproute2          make two machines of one, by network namespaces
ss                         iproute2          look at the options of sockets
systemd-analyze            systemd           check the service
systemd-tmpfiles           systemd           remove old files as it does
strace                     strace            see which processes a server starts
nm                         binutils          look at what the plugin exports
keyctl                     keyutils          look at keyrings
tmux                       tmux              look at nbdkit-tmpdisk-top in a terminal
certtool                   gnutls-bin        make certificates for TLS
psktool                    gnutls-bin        make keys for TLS
haproxy                    haproxy           stand in front of several servers
promtool                   prometheus        check the metrics
prometheus-node-exporter   prometheus-node-exporter  read the metrics
shellcheck                 shellcheck        check the shell scripts
rpmbuild                   rpm               build packages for Fedora
rpmlint                    rpmlint           check them
'

present() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# missing NEEDS: print the lines of NEEDS that this machine lacks.
missing() {
    local what package why
    while read -r what package why; do
        [ -z "$what" ] || present "$what" || echo "$what $package $why"
    done <<<"$1"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_updated=
apt_install() {
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "Installing needs root and there is no sudo. As root, run:" >&2
        echo "    apt-get update && apt-get install --no-install-recommends $*" >&2
        return 1
    fi
    if [ -z "$apt_updated" ]; then
        # The unreachable repository may be one that we do not need: go on.
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 || :
        apt_updated=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y install --no-install-recommends "$@" >&2
}

# install_missing NEEDS: install the packages for what is missing, and say which
# and why. If nothing is missing, do nothing and need no root.
install_missing() {
    local lines what package why packages=()
    lines=$(missing "$1")
    [ -n "$lines" ] || return 0
    echo "Missing on this machine:" >&2
    while read -r what package why; do
        echo "    $what (package $package): $why" >&2
        packages+=("$package")
    done <<<"$lines"
    if ! command -v apt-get >/dev/null; then
        echo "There is no apt-get here: please install them and run this again." >&2
        return 1
    fi
    apt_install "${packages[@]}" || return 1
    lines=$(missing "$1")
    if [ -n "$lines" ]; then
        echo "Still missing after the installation:" >&2
        echo "$lines" >&2
        return 1
    fi
}

# go_at_least WANT HAVE: compare a version like 1.24 with one like go1.26.8.
go_at_least() {
    local have=${2#go}
    [ -n "$have" ] &&
        [ "$(printf '%s\n%s\n' "$1" "$have" | sort -V | head -n 1)" = "$1" ]
}

# find_go: set and export GO, a Go that can build this tree. If the distribution
# has Go 1.21 or newer as a package, that may be installed; such versions fetch the
# toolchain that go.mod asks for by themselves.
find_go() {
    local want have offered
    want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
    GO=$(command -v go) || GO=
    if [ -z "$GO" ] && command -v apt-get >/dev/null; then
        offered=$(apt-cache policy golang-go 2>/dev/null |
            sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p')
        if [ -z "$offered" ]; then
            as_root apt-get -q update >&2 || :
            apt_updated=1
            offered=$(apt-cache policy golang-go 2>/dev/null |
                sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p')
        fi
        if go_at_least 1.21 "$offered"; then
            echo "Missing on this machine:" >&2
            echo "    go (package golang-go): compile the plugin" >&2
            apt_install golang-go || return 1
            GO=$(command -v go) || GO=
        fi
    fi
    if [ -z "$GO" ]; then
        echo "Go $want or newer is needed and this machine has none: unpack the" \
            "archive from https://go.dev/dl/ to /usr/local/go and run this again." >&2
        return 1
    fi
    have=$("$GO" env GOVERSION) || have=
    if ! go_at_least "$want" "$have" && go_at_least 1.21 "$have"; then
        echo "$GO is $have: letting it fetch Go $want (GOTOOLCHAIN=auto)." >&2
        export GOTOOLCHAIN=auto
        have=$("$GO" env GOVERSION) || have=
    fi
    if ! go_at_least "$want" "$have"; then
        echo "$GO is ${have:-of an unknown version (what it said is above)} and Go $want or newer is needed:" \
            "unpack the archive from https://go.dev/dl/ to /usr/local/go, put" \
            "/usr/local/go/bin first in PATH and run this again." >&2
        return 1
    fi
    export GO
}

# How the scripts that run tests count them.
started=$SECONDS
passed=0 failed=0 skipped=0

step() {
    echo
    echo "=== $* ($((SECONDS - started)) s)"
}

# suite LOG COMMAND...: run COMMAND and add up the summary that it prints.
suite() {
    local log=$1 status=0 counts
    shift
    "$@" 2>&1 | tee "$log" || status=$?
    # A failed suite also prints its log, which has such lines as well.
    counts=$(awk '/^Testsuite summary for/ { on = 1 } /^See / { on = 0 }
        on && /^# (PASS|XFAIL): / { p += $3 } on && /^# SKIP: / { s += $3 }
        on && /^# (FAIL|XPASS|ERROR): / { f += $3; if (/ERROR/) on = 0 }
        END { print p + 0, f + 0, s + 0 }' "$log")
    read -r p f s <<<"$counts"
    # A run can fail without a failing test, in the build or in distcheck itself.
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# total [WORD]: print the last line and exit.
total() {
    echo
    echo "${1:+$1 }$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}
