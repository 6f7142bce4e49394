// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"sync"
	"testing"
	"unsafe"
)

func TestCounts(t *testing.T) {
	var c Counts
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 100 {
				c.Read.Add(1)
				c.Written.Add(20)
				c.Trimmed.Add(300)
				c.Zeroed.Add(4000)
				c.Load()
			}
		}()
	}
	all.Wait()
	c.Zeroed.Add(5)
	want := Numbers{
		Read: Count{400, 400}, Written: Count{8000, 400}, Trimmed: Count{120000, 400}, Zeroed: Count{1600005, 401},
	}
	got := c.Load()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	got.Add(Numbers{Read: Count{1, 2}, Written: Count{3, 4}, Trimmed: Count{5, 6}, Zeroed: Count{7, 8}})
	want = Numbers{
		Read: Count{401, 402}, Written: Count{8003, 404}, Trimmed: Count{120005, 406}, Zeroed: Count{1600012, 409},
	}
	if got != want {
		t.Errorf("after Add: got %v, want %v", got, want)
	}
}

func TestCountsShareNoCacheLine(t *testing.T) {
	var c Counts
	if got := unsafe.Offsetof(c.Read); got < cacheLine {
		t.Errorf("got the first counter at %d, want at least %d", got, cacheLine)
	}
	end := unsafe.Offsetof(c.Zeroed) + unsafe.Sizeof(c.Zeroed)
	if got := unsafe.Sizeof(c) - end; got < cacheLine {
		t.Errorf("got %d bytes after the last counter, want at least %d", got, cacheLine)
	}
}
