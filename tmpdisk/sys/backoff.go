// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "time"

// A Backoff is a pause that grows between attempts: First, then twice as long
// each time, up to Last. It needs both, and has no lock of its own.
type Backoff struct {
	First, Last time.Duration

	pause time.Duration
}

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, b.First), b.Last)
	return b.pause
}
