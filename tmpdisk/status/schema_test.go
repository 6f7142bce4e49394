// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// whole has every field. It is what administrators' scripts rely on: a test that
// must be changed here has broken them.
const whole = `{
	"format": 1,
	"server": {
		"name": "lab", "version": "0.1.0", "pid": 123,
		"started": "2026-01-02T03:04:05Z", "written": "2026-01-02T03:05:05.25Z",
		"parameters": {"size": "1073741824", "type": "xfs"},
		"tmpdir": "/var/tmp", "tmpdir_free": 5000000000, "tmpdir_size": 9000000000000,
		"filesystems": [{
			"for": "TMPDIR", "path": "/var/tmp", "type": "xfs", "shared": false,
			"abilities": [{"name": "cloning", "can": true}, {"name": "locks", "can": false, "why": "no locks available"}]
		}],
		"commands": 1, "clients_waiting": 2, "making": 3
	},
	"exports": [{
		"name": "", "description": "scratch", "kind": "mold", "type": "ext4",
		"size": 1073741824, "spares": 4, "mold": 65536, "disks": 5
	}],
	"disks": [{
		"number": 17, "export": "", "session": "0123456789ab", "peer": "address 192.0.2.7",
		"dn": "CN=seat 7", "since": "2026-01-02T03:04:06Z", "state": "connected",
		"size": 1073741824, "allocated": 8192, "several": 2,
		"read": {"bytes": 1, "requests": 2}, "written": {"bytes": 3, "requests": 4},
		"trimmed": {"bytes": 5, "requests": 6}, "zeroed": {"bytes": 7, "requests": 8},
		"last": "2026-01-02T03:05:05Z"
	}],
	"latency": {"buckets_us": [10, 100], "counts": [1, 2, 3]}
}`

func TestEveryFieldComesBack(t *testing.T) {
	decoder := json.NewDecoder(strings.NewReader(whole))
	decoder.DisallowUnknownFields()
	var document Document
	testkit.Must(t, decoder.Decode(&document))
	got, err := json.Marshal(document)
	testkit.Must(t, err)
	var want bytes.Buffer
	testkit.Must(t, json.Compact(&want, []byte(whole)))
	if string(got) != want.String() {
		t.Errorf("got  %s\nwant %s", got, want.String())
	}
}

func TestAbsentFields(t *testing.T) {
	got, err := json.Marshal(Disk{Peer: PeerUser + " 1000"})
	testkit.Must(t, err)
	for _, name := range []string{"session", "dn", "last", "several"} {
		if strings.Contains(string(got), `"`+name+`"`) {
			t.Errorf("got %s, want no %q", got, name)
		}
	}
}
