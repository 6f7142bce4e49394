// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// A filesystem has disks that may be dropped. Each claims to be of 8 bytes and frees
// less, some time later.
type filesystem struct {
	mu     sync.Mutex
	now    time.Time
	free   uint64
	disks  int
	frees  uint64 // each disk
	claims uint64
	after  time.Duration
	due    []time.Time // when a disk's space is free
	drops  int
	want   uint64 // that is free; 0 is 10
}

func (f *filesystem) spaces() *Spaces {
	s := New()
	s.statfs = func(string) (uint64, uint64, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.free, 1000, nil
	}
	s.room.now = func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now
	}
	s.room.sleep = func(ctx context.Context, d time.Duration) error {
		f.pass(d)
		return ctx.Err()
	}
	return s
}

func (f *filesystem) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	for len(f.due) > 0 && !f.due[0].After(f.now) {
		f.free += f.frees
		f.due = f.due[1:]
	}
}

func (f *filesystem) drop(missing uint64) (uint64, bool) {
	defer f.pass(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.disks == 0 || uint64(f.disks)*f.claims < missing {
		return 0, false
	}
	f.disks--
	f.drops++
	f.due = append(f.due, f.now.Add(f.after))
	return f.claims, true
}

func TestDropsNoMoreThanItMust(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fs      *filesystem
		drops   int
		refused bool
	}{
		{"enough", &filesystem{free: 11, disks: 9, frees: 8, claims: 8}, 0, false},
		{"one frees more than enough", &filesystem{free: 7, disks: 9, frees: 8, claims: 8}, 1, false},
		{"some time later", &filesystem{free: 7, disks: 9, frees: 8, claims: 8, after: time.Second}, 1, false},
		{"three of them", &filesystem{free: 7, disks: 9, frees: 1, claims: 1}, 3, false},
		{"three of them, later", &filesystem{free: 7, disks: 9, frees: 1, claims: 1, after: time.Second}, 3, false},
		{"there are just enough, later", &filesystem{free: 7, disks: 3, frees: 1, claims: 1, after: time.Second}, 3, false},
		{"there are not enough", &filesystem{free: 7, disks: 2, frees: 1, claims: 1, after: time.Second}, 0, true},
		{"their blocks are shared", &filesystem{free: 7, disks: 9, claims: 8}, 1, true},
		{"nearly all of their blocks are shared", &filesystem{free: 7, disks: 9, frees: 1, claims: 100}, 1, true},
		{"most of their blocks are shared", &filesystem{free: 7, disks: 9, frees: 1, claims: 8}, 3, false},
		{"each is shared, and too little", &filesystem{free: 2, disks: 9, claims: 5}, 1, true},
		{"they claim next to nothing", &filesystem{free: 200, want: 1000, disks: 900, frees: 1, claims: 1}, emptyDrops, true},
		{"they claim nothing", &filesystem{free: 7, disks: 9}, 0, true},
		{"there are none", &filesystem{free: 7}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.fs.now = time.Unix(1e9, 0)
			s, dir := tt.fs.spaces(), t.TempDir()
			var all sync.WaitGroup
			for range 16 {
				all.Add(1)
				go func() {
					defer all.Done()
					err := s.Ensure(context.Background(), Limit{Bytes: cmp.Or(tt.fs.want, 10)}, []string{dir}, dir, tt.fs.drop)
					if errors.Is(err, ErrTooLittle) != tt.refused {
						t.Errorf("got %v, want refused: %v", err, tt.refused)
					}
				}()
			}
			all.Wait()
			if tt.fs.drops != tt.drops {
				t.Errorf("got %d drops, want %d", tt.fs.drops, tt.drops)
			}
		})
	}
}

// Whoever drops for nothing does so rarely, and ever less often.
func TestDropsInVain(t *testing.T) {
	fs := filesystem{now: time.Unix(1e9, 0), free: 7, disks: 99, claims: 8}
	s, dir := fs.spaces(), t.TempDir()
	come := func() error {
		return s.Ensure(context.Background(), Limit{Bytes: 10}, []string{dir}, dir, fs.drop)
	}
	for range 60 { // minutes
		testkit.Contains(t, come(), "too little is free", "freed next to nothing")
		fs.pass(time.Minute)
	}
	if fs.drops < 3 || fs.drops > 6 {
		t.Errorf("got %d drops in an hour, want about 1+2+4+8+16+32 minutes between them", fs.drops)
	}
	fs.mu.Lock()
	fs.frees = 8
	fs.mu.Unlock()
	fs.pass(2 * time.Hour)
	for range 3 { // it helps now, though others take the space at once
		fs.mu.Lock()
		fs.free, fs.after = 7, time.Second
		fs.mu.Unlock()
		if err := come(); err != nil {
			t.Error(err)
		}
	}
}

// What is free after a while only, as on btrfs, was not dropped in vain.
func TestDropsThatTakeTheirTime(t *testing.T) {
	fs := filesystem{now: time.Unix(1e9, 0), free: 2, disks: 99, frees: 2, claims: 2, after: 30 * time.Second}
	s, dir := fs.spaces(), t.TempDir()
	come := func() error {
		return s.Ensure(context.Background(), Limit{Bytes: 10}, []string{dir}, dir, fs.drop)
	}
	for n := 1; n <= 4; n++ {
		for range 3 {
			testkit.Contains(t, come(), "freed next to nothing")
		}
		if fs.drops != n {
			t.Fatalf("got %d drops, want %d", fs.drops, n)
		}
		fs.pass(30 * time.Second)
	}
	if err := come(); err != nil || fs.drops != 4 {
		t.Errorf("got %v, %d drops, want 4", err, fs.drops)
	}
}

// A client that leaves does not leave its account to nobody.
func TestWhatWasDroppedForAClientThatLeaves(t *testing.T) {
	fs := filesystem{now: time.Unix(1e9, 0), free: 7, disks: 9, frees: 8, claims: 8, after: time.Second}
	s, dir := fs.spaces(), t.TempDir()
	ctx, leave := context.WithCancel(context.Background())
	leaves := func(missing uint64) (uint64, bool) {
		leave()
		return fs.drop(missing)
	}
	if err := s.Ensure(ctx, Limit{Bytes: 10}, []string{dir}, dir, leaves); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the client to have left", err)
	}
	testkit.WaitFor(t, "the drop", func() bool {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		return fs.drops == 1 && len(s.room.dropping) == 0
	})
	if err := s.Ensure(context.Background(), Limit{Bytes: 10}, []string{dir}, dir, fs.drop); err != nil || fs.drops != 1 {
		t.Errorf("the next client: got %v, %d drops, want one", err, fs.drops)
	}
}

// A drop that hangs holds up whoever waits for it, and nobody else.
func TestADropThatHangs(t *testing.T) {
	fs := filesystem{now: time.Unix(1e9, 0), free: 7, disks: 9, frees: 8, claims: 8}
	s, dir := fs.spaces(), t.TempDir()
	began, goOn := make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		result <- s.Ensure(ctx, Limit{Bytes: 10}, []string{dir}, dir, func(missing uint64) (uint64, bool) {
			close(began)
			<-goOn
			return fs.drop(missing)
		})
	}()
	<-began
	if err := s.Check(context.Background(), Limit{Bytes: 5}, dir); err != nil {
		t.Errorf("a client that has enough: got %v", err)
	}
	leave()
	if err := <-result; err == nil {
		t.Error("the client that has left: got no error")
	}
	err := s.Ensure(context.Background(), Limit{Bytes: 10}, []string{dir}, dir, fs.drop)
	testkit.Contains(t, err, "too little is free")
	close(goOn)
	testkit.WaitFor(t, "the drop", func() bool { return len(s.room.dropping) == 0 })
	if err := s.Ensure(context.Background(), Limit{Bytes: 10}, []string{dir}, dir, fs.drop); err != nil || fs.drops != 1 {
		t.Errorf("once it has ended: got %v, %d drops, want one", err, fs.drops)
	}
}

// Nobody waits for a filesystem that hangs for longer than it likes.
func TestAFilesystemThatHangs(t *testing.T) {
	s, goOn := New(), make(chan struct{})
	asked := make(chan struct{}, 9)
	s.statfs = func(dir string) (uint64, uint64, error) {
		if dir == "hangs" {
			asked <- struct{}{}
			<-goOn
		}
		return 7, 1000, nil
	}
	ctx, leave := context.WithCancel(context.Background())
	result := make(chan error)
	for range 5 {
		go func() { result <- s.Check(ctx, Limit{Bytes: 1}, "hangs") }()
	}
	<-asked
	if err := s.Check(context.Background(), Limit{Bytes: 1}, "another"); err != nil {
		t.Errorf("another filesystem: got %v", err)
	}
	leave()
	for range 5 {
		testkit.Contains(t, <-result, "statfs: hangs: wait for an answer: context canceled")
	}
	if n := len(asked); n != 0 {
		t.Errorf("it was asked %d times more while it hangs", n)
	}
	close(goOn)
	if free, size := s.Soon("hangs"); free != 7 || size != 1000 {
		t.Errorf("once it goes on: got %d of %d", free, size)
	}
}
