// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Older releases have no weak pointers.
//go:build go1.24

package nbdkit

import (
	"runtime"
	"sync/atomic"
	"testing"
	"weak"
)

// gated has a gate that nothing of Go's refers to.
type gated struct {
	bare
	gate weak.Pointer[gateWord]
}

type gateWord struct {
	atomic.Uint64
	_ *int // not to share its memory with other small values
}

func (*gated) DirectFD() int { return -1 }

func (g *gated) DirectGate() (*atomic.Uint64, uint64, uint64) {
	word := new(gateWord)
	g.gate = weak.Make(word)
	return &word.Uint64, 1 << 32, 1 << 33
}

func TestGateIsKeptUntilClose(t *testing.T) {
	g := &gated{}
	handle := newHandle(connectionTo(g))
	runtime.GC()
	if g.gate.Value() == nil {
		t.Error("open: the gate was freed")
	}
	gonbdkitClose(handle)
	runtime.GC()
	if g.gate.Value() != nil {
		t.Error("closed: the gate was not freed")
	}
}
