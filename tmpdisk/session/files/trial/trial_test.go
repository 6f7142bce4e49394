// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package trial

import (
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestLocksOfThisMachineOnly(t *testing.T) {
	for option, want := range map[string]string{"": "", "local_lock=all": "/x: mounted with the option local_lock=all: "} {
		got := ""
		Report(&fsprobe.Result{LocalLocks: option}, "/x", testkit.Quiet, func(msg string) { got = msg })
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: got %q, want %q in it", option, got, want)
		}
	}
}
