// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxIdle is how many sizes an export is ready for that nobody waits for.
	maxIdle = 32
	// maxIdleMolds is how many bytes of memory their molds may take together.
	maxIdleMolds = 64 << 20
	// maxIdleFiles is how many bytes in TMPDIR those molds may take together that are files.
	maxIdleFiles = 256 << 20
)

var errUnasked = errors.New("nobody asks for disks of this size any more")

// sizes are the supplies of an export's disks in sizes that clients have named. Any
// client may name any number of them: so those that nobody waits for are few.
type sizes struct {
	make     func(size int64) *Supply
	maxMolds int64 // maxIdleMolds; other in tests only
	maxFiles int64 // maxIdleFiles; the same
	// turns are as many as there are jobs. Each pool has a place in line for those: without
	// turns, others would wait for as many commands as clients name sizes.
	turns chan struct{}

	ending sync.WaitGroup // of those that go; only added to before stopped is true

	mu      sync.Mutex
	stopped error // why; nil before
	all     map[int64]*sized
	uses    uint64
}

// sized is the supply of one size.
type sized struct {
	*Supply
	users int    // who wait for a disk
	used  uint64 // the number of the last use
}

// take returns a disk of size bytes.
func (z *sizes) take(ctx context.Context, size int64) (*Fresh, error) {
	s, err := z.enter(size)
	if err != nil {
		return nil, err
	}
	defer z.leave(s)
	f, err := s.Take(ctx, 0)
	if err != nil {
		return nil, err
	}
	if f.Size() != size {
		err := fmt.Errorf("the disk has %d bytes where the client named %d: a command must leave $disk as large as it is: %w",
			f.Size(), size, unix.EINVAL)
		return nil, errors.Join(err, f.Close())
	}
	f.named = true
	return f, nil
}

func (z *sizes) enter(size int64) (*sized, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.stopped != nil {
		return nil, z.stopped
	}
	s := z.all[size]
	if s == nil {
		s = &sized{Supply: z.make(size)}
		z.all[size] = s
	}
	s.users++
	return s, nil
}

// leave ends the supplies that nobody has asked for the longest, if there are too many.
func (z *sizes) leave(s *sized) {
	z.mu.Lock()
	defer z.mu.Unlock()
	s.users--
	z.uses++
	s.used = z.uses
	idle := make([]int64, 0, len(z.all))
	for size, s := range z.all {
		if s.users == 0 {
			idle = append(idle, size)
		}
	}
	slices.SortFunc(idle, func(a, b int64) int { return cmp.Compare(z.all[b].used, z.all[a].used) })
	molds, files := int64(0), int64(0)
	for i, size := range idle {
		s := z.all[size]
		_, mold := s.Kind()
		molds += mold
		if s.caster != nil {
			files += s.caster.Space()
		}
		if z.stopped != nil || i < maxIdle && molds <= z.maxMolds && files <= z.maxFiles {
			continue
		}
		delete(z.all, size)
		z.ending.Add(1)
		go func() {
			defer z.ending.Done()
			s.Stop(errUnasked)
		}()
	}
}

// each calls f for each.
func (z *sizes) each(f func(*Supply)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, s := range z.all {
		f(s.Supply)
	}
}

// end has no more of them begin, and ends what is being made.
func (z *sizes) end(why error) {
	z.mu.Lock()
	z.stopped = cmp.Or(z.stopped, why)
	z.mu.Unlock()
	z.each(func(s *Supply) { s.end(why) })
}

// stop waits until all have ended; end comes first.
func (z *sizes) stop(why error) {
	for _, s := range z.all { // nobody adds to them any more
		s.Stop(why)
	}
	z.ending.Wait()
}
