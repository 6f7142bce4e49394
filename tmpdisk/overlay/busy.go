// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import "sync"

// busy has the ranges of blocks that requests are about to make the client's own. There
// are as many at most as requests in progress.
type busy struct {
	mu    sync.Mutex
	spans []span
	freed sync.Cond // with mu
}

type span struct{ from, to uint64 }

// lock waits until nobody has any of the blocks from from to to, and takes them. The
// caller gives them back by unlock.
func (b *busy) lock(from, to uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.overlaps(from, to) {
		b.freed.Wait()
	}
	b.spans = append(b.spans, span{from, to})
}

func (b *busy) overlaps(from, to uint64) bool {
	for _, s := range b.spans {
		if from < s.to && s.from < to {
			return true
		}
	}
	return false
}

func (b *busy) unlock(from, to uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.spans {
		if s == (span{from, to}) {
			last := len(b.spans) - 1
			b.spans[i] = b.spans[last]
			b.spans = b.spans[:last]
			break
		}
	}
	b.freed.Broadcast()
}
