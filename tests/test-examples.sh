#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every command under EXAMPLES in the manual page does what it says when it is
# run as it stands: only the plugin, where it listens, and five names that
# exist nowhere here are replaced.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires mke2fs mkswap sfdisk certtool qemu-img filter:limit filter:ip filter:partition

mkdir bin initial-content pki
echo hello >initial-content/greeting
cat >bin/virt-builder <<'SH'
#!/bin/sh
# Stands in for the real one, which fetches an image of a gigabyte.
[ "$1 $2 $4" = "debian-12 --output --size" ] && truncate -s "${5%b}" "$3"
SH
chmod +x bin/virt-builder
export PATH=$work/bin:$PATH
# What the manual has qemu-img convert.
truncate -s 64M raw.img
printf 'start=2048\n' | sfdisk -q raw.img
mke2fs -q -F -t ext4 -E offset=1048576 raw.img 63M
qemu-img convert -O qcow2 raw.img system.qcow2
printf 'cn = localhost\nca\ntls_www_server\ntls_www_client\nsigning_key\ncert_signing_key\n' >tmpl
certtool --key-type=ecdsa --generate-privkey --outfile pki/server-key.pem 2>certtool.log
certtool --generate-self-signed --load-privkey pki/server-key.pem --template tmpl \
    --outfile pki/server-cert.pem 2>>certtool.log
cp pki/server-cert.pem pki/ca-cert.pem
cp pki/server-cert.pem pki/client-cert.pem
cp pki/server-key.pem pki/client-key.pem

# One file for each indented paragraph, and those that have a name under it.
mkdir exports
awk '/^=head1/ { on = /EXAMPLES/ }
    on && blank && /^ / { to = named == "" ? "example" ++n : named; named = "" }
    on && /^F<.*>:$/ { named = substr($0, 3, length($0) - 4) }
    on && /^ / { print substr($0, 2) >to }
    { blank = /^$/ }' "$top_srcdir/nbdkit-tmpdisk-plugin.pod"
sed -i "s|=/var/cache/nbdkit|=$work/cache|" exports/*.conf

run_example() {
    local n=$1 file
    if ! grep -q '^nbdkit ' "example$n"; then
        # It changes what the server of the last example serves.
        bash -e "example$n"
        look
        return
    fi
    sock=$work/sock$n pidfile=$work/pid$n
    uri="nbd+unix:///?socket=$sock"
    sed -e "s|^nbdkit |exec nbdkit -f -U '$sock' -P '$pidfile' |" \
        -e "s|\([ ]\)tmpdisk |\1'$plugin' |" \
        -e "s|/etc/pki/nbdkit|$work/pki|" \
        -e "s|/var/cache/nbdkit|'$work/cache'|g" \
        -e "s|/var/lib/nbdkit|'$work/lib'|g" \
        -e "s|allow=192.168.1.0/24|allow=anyunix|" "example$n" >"run$n"
    cat "run$n"
    grep -q "'$plugin'" "run$n" || fail "no nbdkit in this example"
    bash -e "run$n" >"nbdkit$n.log" 2>&1 &
    server=$!
    at_exit "stop_server $server child"
    wait_for 30 server_decided "$server" "$pidfile" || fail "nbdkit does not start"
    alive "$server" || fail "nbdkit ended"
    ! grep -q tls= "run$n" ||
        uri="nbds+unix://localhost/?socket=$sock&tls-certificates=$work/pki"
    if grep -q export-dir= "run$n"; then
        for file in exports/*.conf; do
            uri="nbd+unix:///$(basename "$file" .conf)?socket=$sock"
            look
        done
    else
        look
    fi
}

# look: what a client finds at $uri.
look() {
    local size type
    nbdsh -c - >head.img <<PYTHON
import sys
h.set_uri_allow_local_file(True)
h.connect_uri("$uri")
print(h.get_size(), file=open("size", "w"))
sys.stdout.buffer.write(h.pread(4 << 20, 0))
PYTHON
    size=$(cat size)
    truncate -s "$size" head.img
    type=$(tag head.img TYPE || :)$(tag head.img PTTYPE || :)
    echo "$size $type $(tag head.img LABEL || :)" | tee -a results
    rm head.img
}

n=1
while [ -e "example$n" ]; do
    run_example "$n"
    n=$((n + 1))
done
cat >want <<'END'
17179869184 ext4 scratch
4294967296 swap netswap
4294967296 swap netswap
17179869184 ext4 video
17179869184  
17179869184 gpt 
1073741824 ext4 
2147483648 ext4 
8589934592  
21474836480 dos 
66060288 ext4 
17179869184  
1073741824 ext4 
17179869184 ext4 scratch
4294967296 swap netswap
17179869184 ntfs 
17179869184 ext4 
17179869184 ext4 
END
diff -u want results
