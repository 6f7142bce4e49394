// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// countingHost counts the disks that the pool's makers have made.
type countingHost struct {
	testkit.Host
	made *atomic.Int32
}

func (h countingHost) Debug(msg string) {
	if strings.HasPrefix(msg, "disk made ") {
		h.made.Add(1)
	}
	h.Host.Debug(msg)
}

// waitFor waits until what comes true.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 3000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// When a file that a parameter names has changed, no client gets a disk of the
// old content: neither a spare one nor one that somebody has returned.
func TestDisksAfterTheBaseHasChanged(t *testing.T) {
	const spares = 3
	base := filepath.Join(t.TempDir(), "base.img")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(base, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	parent := privateTMPDIR(t)
	host := countingHost{testkit.Host{TB: t}, new(atomic.Int32)}
	s := NewServer(configOf(t, "size", "0", "spare-disks", "3", "base", base,
		"template-dir", t.TempDir(), "command", `cp "$base" "$disk"`), host, "1")
	defer func() {
		s.Stop()
		testkit.WantEmpty(t, parent)
	}()
	s.Start()
	waitFor(t, "the spare disks", func() bool { return host.made.Load() >= spares })
	// All of the shelf's, and one more that is made for a client.
	var opened []*Connection
	for range spares + 1 {
		d, err := open(s)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, d)
	}
	waitFor(t, "their replacements", func() bool { return host.made.Load() >= 2*spares })
	s.Close(opened[0])
	write("newer")
	for _, d := range opened[1:] {
		s.Close(d)
	}
	for i := range 2*spares + 2 {
		d, err := open(s)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		if err := d.PRead(got, 0); err != nil || string(got) != "new" {
			t.Errorf("client %d: got %q, %v, want new", i, got, err)
		}
		defer s.Close(d)
	}
}
