// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// While clients come and go, with and without sessions, a document can be had at any
// time, and nothing that is counted goes down or is lost.
func TestReportsWhileDisksComeAndGo(t *testing.T) {
	const workers, each = 6, 150
	inDir(t, t.TempDir())
	s := startServer(t, "client-disks", "3", "session-grace", "1h", "session-max", "2",
		"session-lost", "fresh", "status-file", "status.json")
	var all sync.WaitGroup
	var mu sync.Mutex
	var opens, wrote, refused uint64
	for worker := range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			rng := rand.New(rand.NewPCG(uint64(worker), 0))
			for range each {
				export := []string{"", "x/secret-a", "x/secret-b", "x/secret-c"}[rng.IntN(4)]
				d, err := openAs(s, export, func() (clients.Peer, error) {
					return clients.Peer{Address: fmt.Sprintf("user %d", worker%2)}, nil
				})
				n := uint64(0)
				if err == nil {
					if d.PWrite(make([]byte, 10), 0) == nil { // it may be fenced
						n = 1
					}
					s.Close(d)
				} else if !errors.Is(err, clients.ErrTooMany) && !errors.As(err, new(*keep.LostError)) {
					t.Errorf("open: %v", err)
				}
				mu.Lock()
				wrote += n
				opens++
				if err != nil {
					refused++
				}
				mu.Unlock()
			}
		}()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	last := &status.ExportMetrics{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		last = laterThan(t, s, last)
		text, err := json.Marshal(s.document())
		if err != nil || strings.Contains(string(text), "secret") {
			t.Fatalf("document: got %s, %v, want no token", text, err)
		}
	}
	sum := uint64(0)
	for _, n := range last.Opens {
		sum += n
	}
	if sum != opens || last.Numbers.Written != (status.Count{Bytes: int64(10 * wrote), Requests: int64(wrote)}) {
		t.Errorf("got %d opens, %+v, want %d, %d writes", sum, last.Numbers.Written, opens, wrote)
	}
	if got := last.Opens[status.RefusedLimit] + last.Opens[status.RefusedLost]; got != refused {
		t.Errorf("refused: got %d, want %d", got, refused)
	}
	if last.Disks != last.Waiting || last.Disks > 2 {
		t.Errorf("got %d disks, %d of them waiting, want at most two, all waiting", last.Disks, last.Waiting)
	}
}

// laterThan is the metrics now, none of which may be below what they were.
func laterThan(t *testing.T, s *Server, last *status.ExportMetrics) *status.ExportMetrics {
	t.Helper()
	now := s.metrics().Exports
	if len(now) == 0 {
		return last
	}
	for i, n := range now[0].Opens {
		if n < last.Opens[i] {
			t.Errorf("opens, %s: got %d after %d", status.Outcome(i), n, last.Opens[i])
		}
	}
	if got, before := now[0].Numbers.Written, last.Numbers.Written; got.Bytes < before.Bytes || got.Requests < before.Requests {
		t.Errorf("written: got %+v after %+v", got, before)
	}
	return now[0]
}

// metricsOf are the names of the exports in the metrics.
func metricsOf(s *Server) (names []string) {
	for _, e := range s.metrics().Exports {
		names = append(names, e.Export)
	}
	slices.Sort(names)
	return names
}

// The metrics are for all to read: no name is in them that a client has chosen, and
// no export that is gone.
func TestMetricsNameExportsThatThereAre(t *testing.T) {
	dir := t.TempDir()
	sessions := []string{"session-grace", "1h", "session-key", "name", "session-dir", dir}
	privateTMPDIR(t)
	earlier := NewServer(testconfig.Of(t, append(sessions, "size", "1M", "command", ":")...), quietHost{testkit.Host{TB: t}}, "1")
	earlier.Start()
	for _, name := range []string{"secret1/a", "secret2/a", "a/a"} {
		d, err := openNamed(earlier, name)
		if err == nil {
			err = d.PWrite([]byte("kept"), 0)
		}
		testkit.Must(t, err)
		earlier.Close(d)
	}
	earlier.Stop()

	s, write := exportServer(t, sessions...)
	if got, want := metricsOf(s), []string{"", "(others)"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	write("a", "size=1M\ncommand=:\n")
	d, err := openNamed(s, "a/a")
	testkit.Must(t, err)
	write("b", "size=1M\ncommand=:\n")
	s.Exports()
	if got, want := metricsOf(s), []string{"", "(others)", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	write("a", "")
	write("b", "")
	s.Exports()
	want := []string{"", "(others)", "a"} // of which a client has a disk
	testkit.WaitFor(t, "b to go", func() bool { return slices.Equal(metricsOf(s), want) })
	s.Close(d) // a's waits
	if got := metricsOf(s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for dropped := true; dropped; {
		_, dropped = s.sessions.DropOldest(0)
	}
	if got, want := metricsOf(s), []string{""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// debuggingHost keeps what nbdkit -v would show.
type debuggingHost struct {
	testkit.Host
	mu    sync.Mutex
	lines []string
}

func (h *debuggingHost) Debug(msg string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, msg)
}

func TestFilesystemsAreTried(t *testing.T) {
	cases := []struct {
		name       string
		tmpdir     func(t testing.TB) string
		sessionDir bool
		wantFor    []string
		wantLines  []string // the beginnings of two, without the directory
	}{
		{"TMPDIR", func(t testing.TB) string { return testkit.Tmpfs(t, "4M") }, false, []string{"TMPDIR"},
			[]string{" (tmpfs): punching holes: yes", " (tmpfs): zeroing without writing: no: operation not supported"}},
		{"a session-dir", func(t testing.TB) string { return testkit.Tmpfs(t, "4M") }, true, []string{"TMPDIR", "session-dir"},
			[]string{" (tmpfs): punching holes: yes", " (tmpfs): locks: yes"}},
		{"FUSE", testkit.FUSE, false, []string{"TMPDIR"},
			[]string{" (FUSE): unnamed files: no: operation not supported", " (FUSE): finding holes: no: all is data"}},
		{"no TMPDIR", func(t testing.TB) string { return t.TempDir() + "/missing" }, false, []string{},
			nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, pairs := c.tmpdir(t), []string{"size", "1M", "command", ":"}
			t.Setenv("TMPDIR", dir)
			if c.sessionDir {
				pairs = append(pairs, "session-grace", "1h", "session-dir", t.TempDir())
			}
			cfg := testconfig.Of(t, pairs...)
			host := &debuggingHost{Host: testkit.Host{TB: t}}
			s := NewServer(cfg, host, "1")
			s.Start()
			lines := host.lines
			defer s.Stop()
			list := s.document().Server.Filesystems
			got := []string{}
			for _, f := range list {
				got = append(got, f.For)
				if len(f.Abilities) != 6 {
					t.Errorf("%s: got %+v, want six abilities", f.For, f.Abilities)
				}
				for _, a := range f.Abilities {
					if a.Can != (a.Why == "") {
						t.Errorf("got %+v, want a reason or that it can", a)
					}
				}
			}
			if !slices.Equal(got, c.wantFor) || list == nil {
				t.Errorf("got filesystems for %q, want %q", got, c.wantFor)
			}
			for _, line := range c.wantLines {
				if want := "TMPDIR: " + dir + line; !slices.Contains(lines, want) {
					t.Errorf("got %q, want %q among them", lines, want)
				}
			}
			if c.sessionDir {
				// Of whatever type that is.
				if want := "session-dir: " + cfg.Session.Dir + " (" + list[1].Type + "): locks: yes"; !slices.Contains(lines, want) {
					t.Errorf("got %q, want %q among them", lines, want)
				}
			}
			if !strings.Contains(dir, "missing") {
				testkit.WantEmpty(t, dir)
			}
		})
	}
}

// Clients who have each other's disks make room fill no log.
func TestSessionLinesAreLimited(t *testing.T) {
	privateTMPDIR(t)
	host := &errorLog{quietHost: quietHost{testkit.Host{TB: t}}}
	s := NewServer(testconfig.Of(t, "size", "1M", "type", "swap", "session-grace", "1h", "session-key", "name", "session-max", "1"), host, "1")
	s.Start()
	defer s.Stop()
	lines := func() int {
		host.mu.Lock()
		defer host.mu.Unlock()
		return len(host.lines)
	}
	before := lines()
	for i := range 30 {
		d, err := openNamed(s, fmt.Sprintf("a/%d", i))
		testkit.Must(t, err)
		testkit.Must(t, d.PWrite([]byte{1}, 0))
		s.Close(d)
	}
	testkit.WaitFor(t, "lines", func() bool { return lines() >= before+10 })
	if n := lines() - before; n != 10 {
		t.Errorf("got %d lines, want 10", n)
	}
}
