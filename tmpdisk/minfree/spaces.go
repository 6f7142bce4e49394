// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Spaces asks filesystems how much is free, and makes room on them. Its methods may be
// called from any goroutine.
type Spaces struct {
	statfs func(dir string) (free, size uint64, err error)

	mu   sync.Mutex // is held while nothing is asked
	asks map[string]*asks

	room room
}

// asks are those about one directory.
type asks struct {
	turn sys.Turn
	last answer // under Spaces.mu
}

type answer struct {
	free, size uint64
	err        error
}

// soon is how long Soon, and whoever can do without an answer, waits for one.
const soon = time.Second

// New returns Spaces of which nothing has been asked yet.
func New() *Spaces {
	return &Spaces{statfs: statfs, asks: map[string]*asks{}, room: newRoom()}
}

func (s *Spaces) about(dir string) *asks {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.asks[dir]
	if a == nil {
		a = &asks{turn: sys.NewTurn()}
		s.asks[dir] = a
	}
	return a
}

// Space is how many bytes of the filesystem that dir is on are free, and how many it
// has. The error is ctx's if that ends first.
func (s *Spaces) Space(ctx context.Context, dir string) (free, size uint64, err error) {
	a, got := s.about(dir), make(chan answer, 1)
	if err := a.turn.Do(ctx, func() {
		var now answer
		now.free, now.size, now.err = s.statfs(dir)
		s.mu.Lock()
		a.last = now
		s.mu.Unlock()
		got <- now
	}); err != nil {
		return 0, 0, fmt.Errorf("statfs: %s: %w", dir, err)
	}
	now := <-got
	return now.free, now.size, now.err
}

// Soon is Space, but while the filesystem does not answer, what it answered last; 0
// if that was an error.
func (s *Spaces) Soon(dir string) (free, size uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, _, _ = s.Space(ctx, dir)
	a := s.about(dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.last.free, a.last.size
}

// Check returns an error if the filesystem of one of dirs has less free than l asks
// for. What counts is what an ordinary user may still take.
func (s *Spaces) Check(ctx context.Context, l Limit, dirs ...string) error {
	if l == (Limit{}) {
		return nil
	}
	for _, dir := range dirs {
		free, size, err := s.Space(ctx, dir)
		if err == nil && size > 0 { // else tmpfs without a limit, or it does not tell
			err = l.compare(dir, free, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameFilesystem is false as well if one of them does not answer.
func (s *Spaces) sameFilesystem(ctx context.Context, a, b string) bool {
	if a == b {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	device := func(dir string) (dev uint64, ok bool) {
		found := make(chan uint64, 1)
		err := s.about(dir).turn.Do(ctx, func() {
			var st unix.Stat_t
			if unix.Stat(dir, &st) == nil {
				found <- uint64(st.Dev)
			}
			close(found)
		})
		if err != nil {
			return 0, false
		}
		dev, ok = <-found
		return dev, ok
	}
	one, ok := device(a)
	other, alsoOK := device(b)
	return ok && alsoOK && one == other
}

// Limit is how much of a filesystem must be free for one more client, in bytes or in
// percent of its size. The zero value asks for nothing.
type Limit struct {
	Bytes   uint64
	Percent float64
}

// ErrTooLittle is in the error of a [Limit] that is not kept.
var ErrTooLittle = errors.New("too little is free")

// A shortage is what ErrTooLittle is about. It wraps ENOSPC as well.
type shortage struct {
	error
	dir        string
	free, want uint64 // bytes
}

func (s *shortage) Unwrap() error { return s.error }

// compare returns a *shortage if less is free than l asks for.
func (l Limit) compare(dir string, free, size uint64) error {
	want, percent := l.Bytes, ""
	if l.Percent != 0 {
		want = uint64(float64(size) * l.Percent / 100)
		percent = fmt.Sprintf(" (%v%%)", l.Percent)
	}
	if free >= want {
		return nil
	}
	return &shortage{fmt.Errorf("%w in %s: %d of %d bytes, and %d%s must be: %w",
		ErrTooLittle, dir, free, size, want, percent, unix.ENOSPC), dir, free, want}
}

// statfs is how many bytes of the filesystem that dir is on are free, and how many it
// has.
func statfs(dir string) (free, size uint64, err error) {
	var fs unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Statfs(dir, &fs) }); err != nil {
		return 0, 0, fmt.Errorf("statfs: %s: %w", dir, err)
	}
	return saturatingMul(fs.Bavail, uint64(fs.Frsize)), saturatingMul(fs.Blocks, uint64(fs.Frsize)), nil
}

func saturatingMul(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return math.MaxUint64
}
