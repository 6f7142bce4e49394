// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "sync"

// A Background counts what goes on. It is not a sync.WaitGroup, because something may begin
// though nothing else goes on while somebody waits for the end, or after that: what hung
// ends late, and has an end of its own.
type Background struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n becomes 0; nil if nobody waits
}

// Begins and Ends say that something begins, and ends.
func (b *Background) Begins() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
}

func (b *Background) Ends() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n--; b.n == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// Wait returns when nothing goes on. One goroutine calls it.
func (b *Background) Wait() {
	b.mu.Lock()
	if b.n == 0 {
		b.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	b.idle = idle
	b.mu.Unlock()
	<-idle
}
