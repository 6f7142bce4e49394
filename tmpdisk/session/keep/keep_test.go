// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("x", maxName-2)
	tests := []struct {
		name, export, token string
		ok                  bool
		want                string // in the error
	}{
		{"", "", "", false, ""},
		{"export", "export", "", false, ""},
		{"export/token", "export", "token", true, ""},
		{"/token", "", "token", true, ""},
		{"e/a/b", "e", "a/b", true, ""},
		{"e//", "e", "/", true, ""},
		{"e/\u00e4 \U0001f600\n", "e", "\u00e4 \U0001f600\n", true, ""},
		{"e/" + long, "e", long, true, ""},
		{"e/" + long + "x", "", "", false, "4097 bytes"},
		{"e/", "", "", false, "nothing follows the slash"},
		{"/", "", "", false, "nothing follows the slash"},
		{"e/\xff", "", "", false, "not UTF-8"},
		{"e\xff/t", "", "", false, "not UTF-8"},
		{"e/\x00", "", "", false, "NUL"},
	}
	for _, tt := range tests {
		export, token, ok, err := ParseName(tt.name)
		if export != tt.export || token != tt.token || ok != tt.ok {
			t.Errorf("%.40q: got %q, %q, %v, want %q, %q, %v", tt.name, export, token, ok, tt.export, tt.token, tt.ok)
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%.40q: got %v, want no error", tt.name, err)
		case tt.want != "":
			testkit.Contains(t, err, tt.want)
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("%.40q: got %v, want EINVAL", tt.name, err)
			}
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{"", "/", "e/t", "e//", "\xff/t", "e/\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		export, token, ok, err := ParseName(name)
		switch {
		case err != nil && (ok || export+token != ""):
			t.Errorf("%q: got %q, %q with error %v", name, export, token, err)
		case ok && (export+"/"+token != name || token == "" || strings.Contains(export, "/")):
			t.Errorf("%q: got %q, %q", name, export, token)
		case !ok && err == nil && (export != name || strings.Contains(name, "/")):
			t.Errorf("%q: got no session", name)
		}
	})
}

func TestNewKey(t *testing.T) {
	parts := []string{"", "a", "b", "ab", "a/b", "\x00", "a\x00", "\x00\x00\x00\x00\x00\x00\x00\x01a"}
	of := map[Key][3]string{}
	for _, export := range parts {
		for _, token := range parts {
			for _, owner := range parts {
				key, fields := NewKey(export, token, owner), [3]string{export, token, owner}
				if other, ok := of[key]; ok {
					t.Errorf("%q and %q have one key", other, fields)
				}
				of[key] = fields
				if got, _, ok := privdir.SplitName(string(key) + ".disk"); !ok || got != string(key) {
					t.Errorf("key %q: no name for a file", key)
				}
				if got, want := key.Short(), string(key)[:12]; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		}
	}
}

func TestLostErrorSaysWhatToDo(t *testing.T) {
	key := NewKey("", "", "")
	for why, want := range map[Reason]string{Expired: "session-grace", Evicted: "session-max", Crashed: "session-sync",
		Damaged: "session-dir", Failed: "filesystem", BaseGone: "base="} {
		err := error(&LostError{Key: key, Reason: why, Detail: "some detail"})
		testkit.Contains(t, err, string(key[:12]), want, "(some detail)", "a token of its own", "session-lost=fresh")
		if !why.Known() || !errors.Is(err, unix.ESTALE) {
			t.Errorf("reason %q: got known %v, error %v, want it known, and ESTALE", why, why.Known(), err)
		}
	}
	if len(reasons) != 6 || Reason("").Known() {
		t.Errorf("got the reasons %v, want those that the test has", reasons)
	}
}

// What a server cannot reach is there for others. Nothing else says so.
func TestCutOff(t *testing.T) {
	for err, want := range map[error]bool{
		unix.ENOTCONN: true, unix.EBADFD: true, unix.ETIMEDOUT: true, unix.EHOSTUNREACH: true,
		unix.EMFILE: false, unix.ENOMEM: false, unix.EIO: false, unix.ENOSPC: false, unix.ENOENT: false, ErrOvertaken: false,
	} {
		if got := CutOff(fmt.Errorf("open: %w", err)); got != want {
			t.Errorf("%v: got cut off %v, want %v", err, got, want)
		}
	}
}
