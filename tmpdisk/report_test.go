// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
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
	var last status.ExportMetrics
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
func laterThan(t *testing.T, s *Server, last status.ExportMetrics) status.ExportMetrics {
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
