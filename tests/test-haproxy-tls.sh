#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# examples/haproxy.cfg with --tls=require and certificates: the check works, clients
# verify the name of the balancer, and whoever has no certificate gets nothing. Where
# nbdkit tells certificates (1.40), a session belongs to its client's, for
# session-key=peer.

# shellcheck source=haproxy.sh
. "$(dirname "$0")/haproxy.sh"

sessions_stay
requires certtool
quiet() { certtool --key-type=ecdsa "$@" >>certtool.log 2>&1; }
printf 'cn = "test CA"\nca\ncert_signing_key\n' >ca.tmpl
quiet --generate-privkey --outfile ca-key.pem
quiet --generate-self-signed --load-privkey ca-key.pem --template ca.tmpl --outfile ca-cert.pem
# certificate DIR NAME PART: in DIR, for the client's or server's part.
certificate() {
    mkdir "$1"
    printf 'cn = %s\nip_address = 192.0.2.1\ntls_www_%s\nsigning_key\nencryption_key\n' \
        "$2" "$3" >"$1/tmpl"
    quiet --generate-privkey --outfile "$1/$3-key.pem"
    quiet --generate-certificate --load-privkey "$1/$3-key.pem" --template "$1/tmpl" \
        --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem \
        --outfile "$1/$3-cert.pem"
    cp ca-cert.pem "$1/"
}
certificate pki balancer server
certificate seat1 seat1 client
certificate seat2 seat2 client
mkdir nobody
cp ca-cert.pem nobody/

serve_at 1 --tls=require --tls-certificates="$work/pki" --tls-verify-peer \
    "$plugin" size=11M type=swap session-grace=1h status-file="$work/status.json"
balance
for n in 2 3; do
    wait_for 20 is_state "$n" DOWN || fail "server $n is not down"
done
clients <<'PYTHON'
import json
def over_tls(who, name):
    c = nbd.NBD()
    c.set_uri_allow_local_file(True)
    c.connect_uri("nbds://192.0.2.1/%s?tls-certificates=%s/%s" % (name, os.getcwd(), who))
    return c
def nothing(f):
    try:
        # Until it has used its disk, a client may not know that it is not wanted.
        f().pread(512, 0)
    except nbd.Error:
        return
    sys.exit("a client without a certificate was served")

c = over_tls("seat1", "swap/one")
c.pwrite(b"mine", 4096)
c.shutdown()
nothing(lambda: over_tls("nobody", "swap/one"))
nothing(lambda: connect("10.7.0.1", "swap/one"))
want(over_tls("seat1", "swap/one").pread(4, 4096), b"mine")

disks = []
for i in range(3000):
    disks = json.load(open("status.json"))["disks"]
    if disks:
        break
    time.sleep(0.05)
knows = disks[0].get("dn", "")
print("nbdkit tells the certificate:", knows or "not")
want(over_tls("seat2", "swap/one").pread(4, 4096), bytes(4) if knows else b"mine")
PYTHON
