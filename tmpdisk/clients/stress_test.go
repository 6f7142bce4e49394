// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients that come, go, wait and give up, all at once, for the race detector.
func TestStress(t *testing.T) {
	const most = 3
	c := New()
	var disks [4]atomic.Int64
	sleep := func(d time.Duration) error {
		time.Sleep(min(d, time.Millisecond))
		if rand.IntN(8) == 0 {
			return errGone
		}
		return nil
	}
	visit := func() {
		i := rand.IntN(len(disks))
		l := Limits{Disks: most, Rate: 50e6, IOPS: 20_000}
		s, err := c.Enter(string(rune('a'+i)), l)
		if err != nil {
			if !errors.Is(err, ErrTooMany) {
				t.Error(err)
			}
			return
		}
		if got := disks[i].Add(1); got > most {
			t.Errorf("got %d disks, want at most %d", got, most)
		}
		m := c.Meter(s.Owner(), l)
		var requests sync.WaitGroup
		for range 4 {
			requests.Add(1)
			go func() {
				defer requests.Done()
				for range 20 {
					if err := m.Wait(rand.Uint64N(1<<19), sleep); err != nil && err != errGone {
						t.Error(err)
					}
				}
			}()
		}
		requests.Wait()
		m.Close()
		disks[i].Add(-1)
		s.Leave()
	}
	var visitors sync.WaitGroup
	for range 8 {
		visitors.Add(1)
		go func() {
			defer visitors.Done()
			for range 5 {
				visit()
			}
		}()
	}
	visitors.Wait()
	for name, o := range c.owners {
		if o.users != 0 || o.disks != 0 || len(o.line.waiting) != 0 || !o.owing {
			t.Errorf("%s: got %d users, %d disks, %d waiting, owing %v, want none, and owing", name,
				o.users, o.disks, len(o.line.waiting), o.owing)
		}
	}
}
