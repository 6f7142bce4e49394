// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

var goodRecord = record{
	Format: 1, Key: keyA, Export: "e<\u2028>\x01", Size: 1 << 40, Generation: 3, Connected: true,
	Used: time.Unix(1e9, 5).UTC(), Boot: "b", Host: "h", Sync: true,
}

func TestParseRecord(t *testing.T) {
	r, err := parseRecord(goodRecord.encode(), keyA)
	if err != nil || r != goodRecord {
		t.Errorf("got %+v, %v, want %+v", r, err, goodRecord)
	}
	good := string(goodRecord.encode())
	tests := []struct {
		name, from, to string
		want           error
	}{
		{"newer", `"format":1`, `"format":2`, errNewer},
		{"newer, with what is not known", `{"format":1`, `{"new":{},"format":2`, errNewer},
		{"with what is not known", `{`, `{"new":1,`, errDamaged},
		{"no format", `"format":1,`, ``, errDamaged},
		{"older", `"format":1`, `"format":0`, errDamaged},
		{"a format of another kind", `"format":1`, `"format":"1"`, errDamaged},
		{"another key", string(keyA), string(keyB), errDamaged},
		{"more behind it", "}\n", "}{}\n", errDamaged},
		{"cut short", "}\n", "", errDamaged},
		{"negative size", `"size":`, `"size":-`, errDamaged},
		{"size beyond 64 bits", `"size":`, `"size":99999999`, errDamaged},
		{"no generation", `"generation":3`, `"generation":0`, errDamaged},
		{"lost for no known reason", `"sync":true`, `"sync":true,"lost":"?"`, errDamaged},
		{"odd time", `"used":"`, `"used":"x`, errDamaged},
		{"an array", good, "[]", errDamaged},
		{"null", good, "null", errDamaged},
		{"nothing", good, "", errDamaged},
		{"too long", good, good + strings.Repeat(" ", maxRecord), errDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, tt.from, tt.to, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			if _, err := parseRecord([]byte(text), keyA); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// The longest name there can be fits, however JSON spells it.
func TestLongestRecord(t *testing.T) {
	r := goodRecord
	r.Export = strings.Repeat("\x01", maxName-2)
	if got, err := parseRecord(r.encode(), keyA); err != nil || got != r {
		t.Errorf("got %v, want no error", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(goodRecord.encode())
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"key":"` + string(keyA) + `","lost":"expired"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text, keyA)
		if err != nil {
			if !errors.Is(err, errNewer) && !errors.Is(err, errDamaged) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line that says newer or damaged", err)
			}
			return
		}
		if r.Key != keyA || r.Format != recordFormat || r.Size < 0 || r.Lost == "" && r.Generation == 0 {
			t.Errorf("got %+v for %q", r, text)
		}
		again, err := parseRecord(r.encode(), keyA)
		if err != nil || !again.Used.Equal(r.Used) || again.Generation != r.Generation {
			t.Errorf("got %+v, %v, want %+v", again, err, r)
		}
	})
}

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
	if got := NewKey("e", "a", ""); got != "4a52474fbdcc198f744abe457d87d081fa3b97b2432a28b776802b4dd3df560a" {
		t.Errorf("got %s: what is in a session-dir would not be found any more", got)
	}
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
				if got, _, ok := splitName(diskOf(key)); !ok || got != key {
					t.Errorf("key %q: no name for a file", key)
				}
			}
		}
	}
	if got, want := keyA.Short(), string(keyA)[:12]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSplitName(t *testing.T) {
	const random = "0123456789abcdef0123"
	tests := []struct {
		name, key, rest string
		ok              bool
	}{
		{"disk", string(keyA), ".disk", true},
		{"record", string(keyA), ".json", true},
		{"temporary", string(keyA), ".tmp." + random, true},
		{"key only", string(keyA), "", false},
		{"empty kind", string(keyA), ".", false},
		{"another kind", string(keyA), ".jsonx", false},
		{"more behind it", string(keyA), ".disk.disk", false},
		{"line break", string(keyA), ".disk\n", false},
		{"short random name", string(keyA), ".tmp." + random[1:], false},
		{"no random name", string(keyA), ".tmp.", false},
		{"short key", string(keyA)[1:], ".disk", false},
		{"long key", string(keyA) + "0", ".disk", false},
		{"other digits", strings.Repeat("A", 64), ".disk", false},
		{"no key", "", ".disk", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, kind, ok := splitName(tt.key + tt.rest)
			if ok != tt.ok || ok && (string(key) != tt.key || "."+kind != tt.rest) {
				t.Errorf("got %q, %q, %v, want %q, %q, %v", key, kind, ok, tt.key, tt.rest, tt.ok)
			}
		})
	}
}
