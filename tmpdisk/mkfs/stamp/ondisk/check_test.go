// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import "testing"

// A bug stays a panic: it is not taken for something unknown.
func TestTryIsForWantOnly(t *testing.T) {
	defer func() {
		if got := recover(); got != "bug" {
			t.Errorf("got %v, want the panic", got)
		}
	}()
	err := Try(func() { panic("bug") })
	t.Errorf("got %v, want a panic", err)
}
