// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

// A Peer is who a client is, as far as that can be known.
type Peer struct {
	Address string // a kind, a space, and who: "address 192.0.2.7"
	DN      string // the distinguished name in its certificate
}

// Owner is who the client's disks belong to. It stays the same when the client
// connects again.
func (p Peer) Owner() string {
	if p.DN != "" {
		return "dn " + p.DN
	}
	return p.Address
}
