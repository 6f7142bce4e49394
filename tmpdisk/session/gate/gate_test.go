// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package gate

import "testing"

// The word must count what is in progress, whoever fails at it.
func TestGateCounts(t *testing.T) {
	var g Gate
	if g.Enter(MayRead) {
		t.Error("a new gate lets requests in")
	}
	g.Open(MayRead)
	if !g.Enter(MayRead) || g.Enter(MayWrite) {
		t.Error("a gate for reads: got another answer")
	}
	g.Close()
	if g.Enter(MayRead) || !g.Shut() {
		t.Error("a closed gate lets requests in")
	}
	if got := g.Word.Load(); got != 1 {
		t.Errorf("got %#x, want 1 request in progress", got)
	}
	g.Leave()
	g.Drain()
}
