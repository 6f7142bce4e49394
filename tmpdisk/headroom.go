// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// headroom keeps clients from taking the server's last descriptors.
//
// An nbdkit that has none left to accept a client with tries again at once, for as
// long as the client waits. That takes a CPU and fills the log. One that serves a
// client's requests in parallel (1.34 and newer) never closes the socket of a client
// that it has no descriptors for. So some are kept: the client is accepted, and the
// plugin refuses it. What is kept also serves whatever needs descriptors for a
// moment, such as commands, the status file, and sessions of connected clients.
type headroom struct {
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

func newHeadroom() *headroom {
	// Counted when the first client comes.
	return &headroom{limit: descriptorLimit, count: countDescriptors, now: time.Now, atMost: manyDescriptors}
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

// accepted returns an error if a client that nbdkit has just accepted must go again.
func (h *headroom) accepted() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.atMost += 3 // its socket, and a pipe of nbdkit's
	began := h.now()
	if began.Before(h.until) {
		return h.short
	}
	h.short = h.enough(1)
	if h.short != nil {
		ended := h.now()
		h.until = ended.Add(10 * ended.Sub(began))
	}
	return h.short
}

// open returns an error if a client must not get a disk. Otherwise done must be
// called once the disk is open, or has come to nothing. Half of what is kept is for
// those who are let in at the same time.
func (h *headroom) open() (done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opening++
	h.atMost++
	if err := h.enough(2); err != nil {
		h.opening--
		return nil, err
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.opening--
	}, nil
}

// enough returns an error that wraps EMFILE if less than a part of what is kept is
// free. It counts only when it must. With h.mu.
func (h *headroom) enough(part int) error {
	limit := h.limit()
	most := limit - kept(limit)/part
	if h.atMost <= most {
		return nil
	}
	n, err := h.count()
	switch {
	case errors.Is(err, unix.EMFILE):
		n = limit
	case err != nil:
		return nil // without /proc nothing can be kept
	}
	h.atMost = n + h.opening
	if h.atMost <= most {
		return nil
	}
	return fmt.Errorf("%d descriptors are in use, and the last %d are not for clients: %w", h.atMost, kept(limit), unix.EMFILE)
}

// countDescriptors is how many descriptors this process has open.
func countDescriptors() (int, error) {
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

// withRemedy says what to do about an error that is about a limit of the system.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: the server may have %d descriptors: raise ulimit -n, or LimitNOFILE= of its unit, or let in fewer clients",
			err, descriptorLimit())
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: the machine's limit on open files is reached: raise sysctl fs.file-max", err)
	}
	return err
}
