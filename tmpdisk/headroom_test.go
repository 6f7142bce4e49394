// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeHeadroom is that of a server that has *n descriptors open and may have limit.
func fakeHeadroom(n *int, limit int) *headroom {
	return &headroom{
		limit: func() int { return limit }, count: func() (int, error) { return *n, nil }, atMost: manyDescriptors,
		now: func() time.Time { return time.Time{} },
	}
}

func TestHeadroom(t *testing.T) {
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
			h := fakeHeadroom(&tt.used, tt.limit)
			if err := h.accepted(); (err == nil) != tt.accepted || err != nil && !errors.Is(err, unix.EMFILE) {
				t.Errorf("accepted: got %v, want success: %v", err, tt.accepted)
			}
			done, err := h.open()
			if (err == nil) != tt.open || err != nil && !errors.Is(err, unix.EMFILE) {
				t.Errorf("open: got %v, want success: %v", err, tt.open)
			}
			if err == nil {
				done()
			}
			if h.opening != 0 {
				t.Errorf("opening: got %d, want 0", h.opening)
			}
		})
	}
}

// What those who are let in will need is not given to others.
func TestHeadroomOfThoseWhoOpen(t *testing.T) {
	n := 117
	h := fakeHeadroom(&n, 128)
	var done []func()
	for range 3 {
		d, err := h.open()
		if err != nil {
			t.Fatalf("open %d: %v", len(done)+1, err)
		}
		done = append(done, d)
	}
	if _, err := h.open(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("got %v, want EMFILE", err)
	}
	for _, d := range done {
		d()
	}
	if _, err := h.open(); err != nil {
		t.Errorf("when they have come to nothing: %v", err)
	}
}

// It is not counted for each client.
func TestHeadroomCountsWhenItMust(t *testing.T) {
	n := 10
	h := fakeHeadroom(&n, 1024)
	if err := h.accepted(); err != nil {
		t.Fatal(err)
	}
	n = 970
	clients := 0
	for h.accepted() == nil {
		clients++
	}
	if want := 316; clients != want { // (1024 - 64 - 10) / 3
		t.Errorf("got %d clients before it counted again, want %d", clients, want)
	}
}

// Counting that takes long is done a tenth of the time, however many come.
func TestHeadroomIsCountedSeldom(t *testing.T) {
	n, counted, now := 128, 0, time.Unix(0, 0)
	h := fakeHeadroom(&n, 128)
	h.now = func() time.Time { return now }
	h.count = func() (int, error) {
		counted++
		now = now.Add(20 * time.Millisecond)
		return n, nil
	}
	for range 1000 {
		if err := h.accepted(); !errors.Is(err, unix.EMFILE) {
			t.Fatalf("got %v, want EMFILE", err)
		}
		now = now.Add(time.Millisecond)
	}
	if counted < 4 || counted > 6 {
		t.Errorf("got %d counts in a second, want about 5", counted)
	}
	n = 10
	now = now.Add(time.Second)
	if err := h.accepted(); err != nil {
		t.Errorf("when others have left: %v", err)
	}
}

func TestHeadroomWithoutProc(t *testing.T) {
	n := 0
	h := fakeHeadroom(&n, 64)
	h.count = func() (int, error) { return 0, unix.ENOENT }
	if err := h.accepted(); err != nil {
		t.Errorf("accepted: %v", err)
	}
}

func TestCountDescriptors(t *testing.T) {
	before, err := countDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	after, err := countDescriptors()
	if err != nil || after < before+50 {
		t.Errorf("got %d, %v, want at least %d", after, err, before+50)
	}
	// As on an older kernel; the directory itself is open then.
	if n, err := countNames("/proc/self/fd"); err != nil || n < after || n > after+2 {
		t.Errorf("names: got %d, %v, want %d", n, err, after)
	}
}
