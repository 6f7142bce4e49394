// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A gate is one word that each request of a connection goes through. Its low
// half counts the requests in progress, and the bits above say what may come in.
// It is only changed by instructions that read it at the same time: a request
// counts itself and sees the bits at once, and whoever clears the bits sees how
// many are in progress.
type gate struct{ word atomic.Uint64 }

const (
	mayWrite uint64 = 1 << 63 // requests that modify may come in
	mayRead  uint64 = 1 << 62 // so may others; without it the gate is shut for good
	counted  uint64 = 1<<32 - 1
)

// ErrFenced is what requests of a fenced connection fail with.
var ErrFenced = fmt.Errorf("the session has gone over to a later connection: %w", unix.ESHUTDOWN)

// enter counts a request in if one of the bits is set.
func (g *gate) enter(bits uint64) bool {
	if g.word.Add(1)&bits != 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() { g.word.Add(^uint64(0)) }

func (g *gate) open(bits uint64) { g.word.Or(bits) }

func (g *gate) shut() bool { return g.word.Load()&mayRead == 0 }

// close keeps further requests out.
func (g *gate) close() { g.word.And(counted) }

// drain waits until those that came in before have ended. There is nothing to be
// woken by: the counting is in C as well, and costs a few nanoseconds because it
// wakes nobody.
func (g *gate) drain() {
	for pause := 10 * time.Microsecond; g.word.Load()&counted != 0; pause = min(2*pause, 2*time.Millisecond) {
		time.Sleep(pause)
	}
}
