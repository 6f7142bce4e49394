// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package descriptors

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// fakeBudget is that of a server that has *n descriptors open and may have limit.
func fakeBudget(n *int, limit int) *Budget {
	return &Budget{
		limit: func() int { return limit }, count: func() (int, error) { return *n, nil }, atMost: manyDescriptors,
		now: func() time.Time { return time.Time{} },
	}
}

func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name           string
		used, limit    int
		accepted, open bool
	}{
		{"plenty", 10, 1024, true, true},
		{"the last that nbdkit may accept", 112, 128, true, true},
		{"one more, while those before it may open", 113, 128, false, true},
		{"the last disk", 119, 128, false, true},
		{"no disk either", 120, 128, false, false},
		{"none at all", 128, 128, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := fakeBudget(&tt.used, tt.limit)
			if err := b.Accepted(); (err == nil) != tt.accepted || err != nil && !errors.Is(err, unix.EMFILE) {
				t.Errorf("accepted: got %v, want success: %v", err, tt.accepted)
			}
			done, err := b.Open()
			if (err == nil) != tt.open || err != nil && !errors.Is(err, unix.EMFILE) {
				t.Errorf("open: got %v, want success: %v", err, tt.open)
			}
			if err == nil {
				done()
			}
			if b.opening != 0 {
				t.Errorf("opening: got %d, want 0", b.opening)
			}
		})
	}
}

// What those who are let in will need is not given to others.
func TestThoseWhoOpen(t *testing.T) {
	n := 117
	b := fakeBudget(&n, 128)
	var done []func()
	for range 3 {
		d, err := b.Open()
		if err != nil {
			t.Fatalf("open %d: %v", len(done)+1, err)
		}
		done = append(done, d)
	}
	if _, err := b.Open(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("got %v, want EMFILE", err)
	}
	for _, d := range done {
		d()
	}
	if _, err := b.Open(); err != nil {
		t.Errorf("when they have come to nothing: %v", err)
	}
}

// It is not counted for each client.
func TestCountsWhenItMust(t *testing.T) {
	n := 10
	b := fakeBudget(&n, 1024)
	testkit.Must(t, b.Accepted())
	n = 970
	clients := 0
	for b.Accepted() == nil {
		clients++
	}
	if want := 316; clients != want { // (1024 - 64 - 10) / 3
		t.Errorf("got %d clients before it counted again, want %d", clients, want)
	}
}

// Counting that takes long is done a tenth of the time, however many come.
func TestIsCountedSeldom(t *testing.T) {
	n, counted, now := 128, 0, time.Unix(0, 0)
	b := fakeBudget(&n, 128)
	b.now = func() time.Time { return now }
	b.count = func() (int, error) {
		counted++
		now = now.Add(20 * time.Millisecond)
		return n, nil
	}
	for range 1000 {
		if err := b.Accepted(); !errors.Is(err, unix.EMFILE) {
			t.Fatalf("got %v, want EMFILE", err)
		}
		now = now.Add(time.Millisecond)
	}
	if counted < 4 || counted > 6 {
		t.Errorf("got %d counts in a second, want about 5", counted)
	}
	n = 10
	now = now.Add(time.Second)
	if err := b.Accepted(); err != nil {
		t.Errorf("when others have left: %v", err)
	}
}

func TestWhatCannotBeCounted(t *testing.T) {
	n := 0
	b := fakeBudget(&n, 64)
	b.count = func() (int, error) { return 0, unix.ENOENT }
	if err := b.Accepted(); err != nil {
		t.Errorf("accepted: %v", err)
	}
}

func TestCountOpen(t *testing.T) {
	before, err := countOpen()
	testkit.Must(t, err)
	for range 50 {
		f, err := os.Open("/dev/null")
		testkit.Must(t, err)
		defer f.Close()
	}
	after, err := countOpen()
	if err != nil || after < before+50 {
		t.Errorf("got %d, %v, want at least %d", after, err, before+50)
	}
	// As on an older kernel; the directory itself is open then.
	if n, err := countNames("/proc/self/fd"); err != nil || n < after || n > after+2 {
		t.Errorf("names: got %d, %v, want %d", n, err, after)
	}
}
