// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import "time"

// Pauses between attempts to make a spare disk that cannot be made.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// backoff is the growing pause between attempts: 1 s, doubled each time, up to
// 1 min. The zero value is ready; it has no lock of its own.
type backoff struct{ pause time.Duration }

// next is how long to wait now, and makes the next answer longer.
func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	return b.pause
}

// reset starts again at the shortest pause.
func (b *backoff) reset() { b.pause = 0 }

// clock is the time as the pool sees it, so that tests need not wait for it.
type clock interface {
	Now() time.Time
	// AfterFunc runs f in its own goroutine once d has passed.
	AfterFunc(d time.Duration, f func()) timer
}

// timer is what AfterFunc leaves behind. Stop may come too late: f checks
// under its own lock whether it is still meant.
type timer interface{ Stop() bool }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }
