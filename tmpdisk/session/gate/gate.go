// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package gate

import (
	"sync/atomic"
	"time"
)

// A Gate is one word that each request of a connection goes through. Its low
// half counts the requests in progress, and the bits above say what may come in.
// It is only changed by instructions that read it at the same time: a request
// counts itself and sees the bits at once, and whoever clears the bits sees how
// many are in progress.
type Gate struct{ Word atomic.Uint64 }

// What may come in.
const (
	MayWrite uint64 = 1 << 63 // requests that modify may come in
	MayRead  uint64 = 1 << 62 // so may others; without it the gate is shut for good
	counted  uint64 = 1<<32 - 1
)

// Enter counts a request in if one of the bits is set.
func (g *Gate) Enter(bits uint64) bool {
	if g.Word.Add(1)&bits != 0 {
		return true
	}
	g.Leave()
	return false
}

// Leave counts one out.
func (g *Gate) Leave() { g.Word.Add(^uint64(0)) }

// Open lets in what looks for the bits.
func (g *Gate) Open(bits uint64) { g.Word.Or(bits) }

// Shut reports whether nothing may come in any more.
func (g *Gate) Shut() bool { return g.Word.Load()&MayRead == 0 }

// Close keeps further requests out.
func (g *Gate) Close() { g.Word.And(counted) }

// Drain waits until those that came in before have ended. There is nothing to be
// woken by: the counting is in C as well, and costs a few nanoseconds because it
// wakes nobody.
func (g *Gate) Drain() {
	for pause := 10 * time.Microsecond; g.Word.Load()&counted != 0; pause = min(2*pause, 2*time.Millisecond) {
		time.Sleep(pause)
	}
}
