#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# --tls=require with certificates: a client that has one is served over TLS,
# one without is turned away and costs no disk.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

requires certtool
mkdir pki other
cd pki
printf 'cn = "test CA"\nca\ncert_signing_key\n' >ca.tmpl
printf 'cn = localhost\ndns_name = localhost\ntls_www_server\nsigning_key\nencryption_key\n' >server.tmpl
printf 'cn = client\ntls_www_client\nsigning_key\nencryption_key\n' >client.tmpl
quiet() { certtool --key-type=ecdsa "$@" >>../certtool.log 2>&1; }
quiet --generate-privkey --outfile ca-key.pem
quiet --generate-self-signed --load-privkey ca-key.pem \
    --template ca.tmpl --outfile ca-cert.pem
for who in server client; do
    quiet --generate-privkey --outfile "$who-key.pem"
    quiet --generate-certificate --load-privkey "$who-key.pem" \
        --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem \
        --template "$who.tmpl" --outfile "$who-cert.pem"
done
cp ca-cert.pem ../other/
cd ..
# shellcheck disable=SC2016 # for the command
serve --tls=require --tls-certificates="$work/pki" --tls-verify-peer \
    "$plugin" size=10M witness="$work/witness" \
    command='echo made >>"$witness"; mkfs.ext4 -q -F "$disk"'
plain=$uri
uri="nbds+unix://localhost/?socket=$sock&tls-certificates=$work/pki"
exercise
made=$(wc -l <witness)
[ "$made" -gt 0 ] || fail "the command left no trace"
uri=$plain
refused
uri="nbds+unix://localhost/?socket=$sock&tls-certificates=$work/other"
# Until it has used its disk, a client may not know that it is not wanted.
nbdsh -c - <<PYTHON
h.set_uri_allow_local_file(True)
try:
    h.connect_uri("$uri")
    h.pread(512, 0)
except nbd.Error as ex:
    print("refused, as it should be:", ex)
else:
    raise SystemExit("a client without a certificate was served")
PYTHON
[ "$(wc -l <witness)" -eq "$made" ] || fail "a disk was made for a stranger"
