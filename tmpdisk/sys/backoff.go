// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "time"

// Backoff is the growing pause between attempts: First, then twice as long each
// time, up to Last. It has no lock of its own.
type Backoff struct {
	First, Last time.Duration

	pause time.Duration
}

// Next returns how long to wait now, and makes the next answer longer.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, b.First), b.Last)
	return b.pause
}

// Reset starts again at First.
func (b *Backoff) Reset() { b.pause = 0 }
