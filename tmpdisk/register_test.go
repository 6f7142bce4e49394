// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

const slotsEach = 3

// slotsServer is one whose register is used without it.
func slotsServer(t *testing.T) *Server {
	return NewServer(configOf(t, "size", "1M", "command", ":", "session-grace", "1h", "client-disks", strconv.Itoa(slotsEach)),
		quietHost{testkit.Host{TB: t}}, "1")
}

// written is what was counted for each export, if it is more than nothing.
func written(s *Server) map[string]status.Count {
	sums := map[string]status.Count{}
	for _, e := range s.metrics().Exports {
		if n := e.Numbers.Written; n != (status.Count{}) {
			sums[e.Export] = n
		}
	}
	return sums
}

// wantEmpty is that all of it is free.
func wantEmpty(t *testing.T, r *register, owners ...string) {
	t.Helper()
	if len(r.entries) != 0 || len(r.sessions) != 0 {
		t.Errorf("got %d entries, %d sessions, want none", len(r.entries), len(r.sessions))
	}
	for _, owner := range owners {
		for i := range slotsEach {
			if _, _, err := r.open("", "", Peer{Address: owner}); err != nil {
				t.Errorf("slot %d of %s: %v", i, owner, err)
			}
		}
		if _, _, err := r.open("", "", Peer{Address: owner}); !errors.Is(err, clients.ErrTooMany) {
			t.Errorf("one more slot of %s: got %v, want ErrTooMany", owner, err)
		}
	}
}

// Many clients of few sessions at the same time, while others look.
func TestRegisterStress(t *testing.T) {
	s := slotsServer(t)
	r := s.register
	file := emptyDisk(t)
	var all sync.WaitGroup
	wrote := make([]int64, 8)
	for worker := range wrote {
		all.Add(1)
		go func() {
			defer all.Done()
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 1000 {
				key := session.Key([]string{"", "a", "b", "c"}[rng.IntN(4)])
				e, taken, err := r.open("export", key, Peer{Address: fmt.Sprintf("user %d", worker%4)})
				if err != nil {
					continue
				}
				if rng.IntN(4) == 0 {
					r.fail(e, taken)
					continue
				}
				d := &Disk{file: file, counted: &counted{}}
				r.connect(e, d, Peer{Address: fmt.Sprintf("user %d", worker%4)}, taken)
				d.counted.counts.Written.Add(1)
				wrote[worker]++
				e = r.close(d)
				if key != "" && rng.IntN(2) == 0 {
					r.waits(key)
				}
				r.release(e)
				if key != "" && rng.IntN(2) == 0 {
					r.gone(key)
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	for last, running := int64(0), true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		n := written(s)["export"].Requests
		if n < last {
			t.Fatalf("requests: got %d after %d", n, last)
		}
		last = n
	}
	for _, key := range []session.Key{"a", "b", "c"} {
		r.gone(key)
	}
	var want int64
	for _, n := range wrote {
		want += n
	}
	if got := written(s)["export"].Requests; got != want || want == 0 {
		t.Errorf("requests: got %d, want %d", got, want)
	}
	wantEmpty(t, r, "user 0", "user 1", "user 2", "user 3")
}

func emptyDisk(t *testing.T) *disk.Disk {
	path := t.TempDir() + "/disk"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := disk.Open(path, testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
