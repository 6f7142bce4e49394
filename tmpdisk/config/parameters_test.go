// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
)

// What went says what to use instead, on the command line and in a file.
func TestGoneParametersAreRefused(t *testing.T) {
	if len(gone) == 0 {
		t.Fatal("none")
	}
	for name, instead := range gone {
		want := "parameter " + name + ": there is no such parameter any more: " + instead
		if findParameter(name) != nil {
			t.Errorf("%s: is a parameter as well", name)
		}
		if err := setAll(t, []string{"size", "1M", name, "1"}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		_, err := commandLine(t, "size", "1M").Export([]export.Setting{{Key: name, Value: "1", Line: 3}})
		if err == nil || !strings.Contains(err.Error(), "line 3") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want line 3 and %s", err, want)
		}
	}
}
