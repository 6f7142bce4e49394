// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package descriptors

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Budget keeps clients from taking the server's last descriptors.
type Budget struct {
	limit func() int          // how many descriptors there may be
	count func() (int, error) // how many are open
	now   func() time.Time

	mu      sync.Mutex
	opening int // clients that are about to get a disk
	atMost  int // descriptors are open, or about to be for opening

	// Before Linux 6.2 counting takes a microsecond for each that is open. A flood
	// of clients must not have it done all the time.
	short error     // why clients are refused
	until time.Time // without counting again
}

// New returns the Budget of this process.
func New() *Budget {
	// Counted when the first client comes.
	return &Budget{limit: descriptorLimit, count: countOpen, now: time.Now, atMost: manyDescriptors}
}

// manyDescriptors is more than any server has.
const manyDescriptors = 1 << 30

func descriptorLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > manyDescriptors {
		return manyDescriptors
	}
	return int(limit.Cur)
}

// kept is how many descriptors of so many are not for clients.
func kept(limit int) int { return min(max(limit/8, 16), 64) }

// Accepted returns an error if a client that nbdkit has just accepted must go again.
func (b *Budget) Accepted() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.atMost += 3 // its socket, and a pipe of nbdkit's
	began := b.now()
	if began.Before(b.until) {
		return b.short
	}
	b.short = b.enough(1)
	if b.short != nil {
		ended := b.now()
		b.until = ended.Add(10 * ended.Sub(began))
	}
	return b.short
}

// Open returns an error if a client must not get a disk. Otherwise done must be
// called once the disk is open, or has come to nothing. Half of what is kept is for
// those who are let in at the same time.
func (b *Budget) Open() (done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opening++
	b.atMost++
	if err := b.enough(2); err != nil {
		b.opening--
		return nil, err
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.opening--
	}, nil
}

// enough returns an error that wraps EMFILE if less than a part of what is kept is
// free. It counts only when it must. With b.mu.
func (b *Budget) enough(part int) error {
	limit := b.limit()
	most := limit - kept(limit)/part
	if b.atMost <= most {
		return nil
	}
	n, err := b.count()
	switch {
	case errors.Is(err, unix.EMFILE):
		n = limit
	case err != nil: // that they cannot be counted is no reason to refuse anybody
		return nil
	}
	b.atMost = n + b.opening
	if b.atMost <= most {
		return nil
	}
	return fmt.Errorf("%d descriptors are in use, and the last %d are not for clients: %w", b.atMost, kept(limit), unix.EMFILE)
}

// countOpen is how many descriptors this process has open.
func countOpen() (int, error) {
	const dir = "/proc/self/fd"
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err == nil && st.Size > 0 {
		return int(st.Size), nil // from Linux 6.2 on
	}
	return countNames(dir)
}

func countNames(dir string) (int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return len(names), err
}

// WithRemedy adds to err what to do, if it is about a limit of the system.
func WithRemedy(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: the server may have %d descriptors: raise ulimit -n, or LimitNOFILE= of its unit, or let in fewer clients",
			err, descriptorLimit())
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: the machine's limit on open files is reached: raise sysctl fs.file-max", err)
	}
	return err
}
