// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// requestsOf are one of each kind, of so many bytes at the disk's begin.
func requestsOf(bytes uint32) map[string]disk.Request {
	buf := make([]byte, bytes)
	return map[string]disk.Request{
		"read":    {Op: disk.Read, Buf: buf},
		"write":   {Op: disk.Write, Buf: buf, Flags: disk.FUA},
		"flush":   {Op: disk.Flush},
		"trim":    {Op: disk.Trim, Count: bytes},
		"zero":    {Op: disk.Zero, Count: bytes, Flags: disk.MayTrim},
		"extents": {Op: disk.Extents, Count: bytes, Add: func(_, _ uint64, _ bool) error { return nil }},
		"cache":   {Op: disk.Cache, Count: bytes},
	}
}

// chains are a client's disk behind all that its requests may pass.
func chains(t testing.TB, f func(name string, d *Connection)) {
	for _, c := range []struct {
		name, export string
		pairs        []string
	}{
		{"plain", "", nil},
		{"limited", "", []string{"client-rate", "100G", "client-iops", "1000000000"}},
		{"session", "/token", []string{"session-grace", "1m", "session-dir", t.TempDir(), "session-key", "name"}},
		{"limited session", "/token", []string{"client-rate", "100G", "client-iops", "1000000000",
			"session-grace", "1m", "session-dir", t.TempDir(), "session-key", "name"}},
	} {
		s := startServer(t, c.pairs...)
		d, err := openAs(s, c.export, somebody)
		if err != nil {
			t.Fatal(err)
		}
		f(c.name, d)
		s.Close(d)
	}
}

func TestRequestsDoNotAllocate(t *testing.T) {
	chains(t, func(chain string, d *Connection) {
		for name, r := range requestsOf(4096) {
			var err error
			if got := testing.AllocsPerRun(100, func() { err = errors.Join(err, d.Do(r)) }); got != 0 {
				t.Errorf("%s, %s: got %v allocations, want none", chain, name, got)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", chain, name, err)
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	chains(b, func(chain string, d *Connection) {
		for _, op := range []string{"read", "write"} {
			r := requestsOf(4096)[op]
			r.Flags = 0
			b.Run(chain+" "+op, func(b *testing.B) {
				for range b.N {
					if err := d.Do(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
