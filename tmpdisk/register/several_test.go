// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// A client with several disks of one export is marked; sessions and other exports do not
// count, nor does a client of whom nothing is known.
func TestSeveralDisksOfOneClient(t *testing.T) {
	r := New(clients.New(), clients.Limits{})
	one, other := clients.Peer{Address: "address 192.0.2.1"}, clients.Peer{Address: "address 192.0.2.1", DN: "CN=b"}
	var first *Client
	for i, d := range []struct {
		export string
		key    Key
		peer   clients.Peer
	}{
		{"a", nil, one}, {"a", nil, one}, {"b", nil, one}, {"a", key("k"), one}, {"a", nil, other}, {"a", nil, clients.Peer{}}, {"a", nil, clients.Peer{}}, {"a", nil, one},
	} {
		c, err := r.Open(d.export, d.key, d.peer)
		testkit.Must(t, err)
		c.Connect(&fakeConn{}, 1)
		if i == 0 {
			first = c
		}
	}
	want := func(wants ...int) {
		t.Helper()
		disks := r.Snapshot(noSpace).Disks
		if len(disks) != len(wants) {
			t.Fatalf("got %d disks, want %d", len(disks), len(wants))
		}
		for i, d := range disks {
			if d.Several != wants[i] {
				t.Errorf("disk %d: got %d, want %d", d.Number, d.Several, wants[i])
			}
		}
	}
	want(3, 3, 0, 0, 0, 0, 0, 3)
	first.Disconnect()
	first.Done()
	want(2, 0, 0, 0, 0, 0, 2)
}
