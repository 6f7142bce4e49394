// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"bytes"
	"math"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
)

// A disk that is ready already is no way in either.
func TestMinFreeRefuses(t *testing.T) {
	privateTMPDIR(t)
	cfg := testconfig.Of(t, "size", "1M", "command", ":")
	s := NewServer(cfg, testkit.Host{TB: t}, "1")
	defer s.Stop()
	d, err := open(s)
	testkit.Must(t, err)
	s.Close(d)

	cfg.MinFree = minfree.Limit{Bytes: math.MaxInt64}
	if d, err := open(s); err == nil {
		s.Close(d)
		t.Error("got a disk, want an error")
	} else {
		testkit.Contains(t, err, "open: parameter min-free: ")
	}
}

func TestMinFreePausesSpares(t *testing.T) {
	parent := privateTMPDIR(t)
	cfg := testconfig.Of(t, "size", "1M", "command", ":", "spare-disks", "2", "min-free", "8388607G")
	host := &loggingHost{Host: testkit.Host{TB: t}, errors: make(chan string, 10)}
	s := NewServer(cfg, host, "1")
	s.Start()
	line := <-host.errors // spares wait, and the log says why
	if !strings.Contains(line, "min-free") {
		t.Errorf("got %q, want min-free in it", line)
	}
	s.Stop()
	if left := testkit.Names(t, parent); len(left) != 0 {
		t.Errorf("left in TMPDIR: %q", left)
	}
}

// Who means five percent is told what five is.
func TestWarningsAreLogged(t *testing.T) {
	privateTMPDIR(t)
	host := &loggingHost{Host: testkit.Host{TB: t}, errors: make(chan string, 10)}
	s := NewServer(testconfig.Of(t, "size", "1M", "command", ":", "min-free", "5"), host, "1")
	s.Start()
	defer s.Stop()
	if line := <-host.errors; !strings.HasPrefix(line, "parameter min-free: this is 5 bytes") {
		t.Errorf("got %q", line)
	}
}

// loggingHost keeps the lines for the log.
type loggingHost struct {
	testkit.Host
	errors chan string
}

func (h *loggingHost) Error(msg string) { h.errors <- msg }

// Disks that wait on another filesystem than is short of space are left alone, and so are
// those that have less than is missing.
func TestMinFreeDropsWhereItHelps(t *testing.T) {
	for _, tt := range []struct {
		name    string
		other   bool
		missing uint64
		stays   bool
	}{{"one filesystem", false, 1 << 19, false}, {"one filesystem, too much", false, 2 << 20, true}, {"two filesystems", true, 1 << 19, true}} {
		t.Run(tt.name, func(t *testing.T) {
			tmpdir := t.TempDir()
			if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16M", "tmpdisk-test", tmpdir).CombinedOutput(); err != nil {
				t.Skipf("needs mount: %v: %s", err, out)
			}
			// A server's session-dir stays open for as long as its process lives.
			t.Cleanup(func() { unix.Unmount(tmpdir, unix.MNT_DETACH) })
			t.Setenv("TMPDIR", tmpdir)
			dir := tmpdir
			if tt.other {
				dir = t.TempDir()
			}
			cfg := testconfig.Of(t, "size", "1M", "command", ":", "session-grace", "1h", "session-key", "name", "session-dir", dir)
			s := NewServer(cfg, testkit.Host{TB: t}, "1")
			s.Start()
			defer s.Stop()
			d, err := openNamed(s, "a/waits")
			testkit.Must(t, err)
			testkit.Must(t, d.PWrite(bytes.Repeat([]byte("kept"), 1<<18), 0))
			s.Close(d)

			var st unix.Statfs_t
			testkit.Must(t, unix.Statfs(tmpdir, &st))
			cfg.MinFree = minfree.Limit{Bytes: st.Bavail*uint64(st.Bsize) + tt.missing}
			d, err = openNamed(s, "a/comes")
			if tt.stays {
				testkit.Contains(t, err, "too little is free in "+tmpdir)
			} else {
				testkit.Must(t, err)
				s.Close(d)
			}
			cfg.MinFree = minfree.Limit{}
			d, err = openNamed(s, "a/waits")
			if (err == nil) != tt.stays {
				t.Errorf("the disk that waits: got %v, want it there: %v", err, tt.stays)
			}
			if err == nil {
				s.Close(d)
			}
		})
	}
}

// openNamed is a patient client that asks for name.
