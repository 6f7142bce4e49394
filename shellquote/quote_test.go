// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package shellquote

import (
	"os/exec"
	"strings"
	"testing"
)

// everyByte holds each byte but NUL once.
func everyByte() string {
	b := make([]byte, 0, 255)
	for i := 1; i < 256; i++ {
		b = append(b, byte(i))
	}
	return string(b)
}

var words = []struct{ name, in, want string }{
	{"empty", "", `''`},
	{"plain", "disk", `'disk'`},
	{"space", "a b", `'a b'`},
	{"single quote", "it's", `'it'\''s'`},
	{"only quotes", "''", `''\'''\'''`},
	{"double quotes", `say "hi"`, `'say "hi"'`},
	{"newline", "a\nb", "'a\nb'"},
	{"trailing newline", "a\n", "'a\n'"},
	{"trailing backslash", `a\`, `'a\'`},
	{"backslash quote", `\'`, `'\'\'''`},
	{"expansions", "$(id) `id` ${x} $x", "'$(id) `id` ${x} $x'"},
	{"glob", "*?[a-z]", `'*?[a-z]'`},
	{"keyword", "if", `'if'`},
	{"leading dash", "-rf", `'-rf'`},
	{"tilde", "~root", `'~root'`},
	{"comment", "#x", `'#x'`},
	{"history", "!!", `'!!'`},
	{"not UTF-8", "a\xff\xfeb", "'a\xff\xfeb'"},
	{"UTF-8", "日本", "'日本'"},
	{"every byte", everyByte(), "'" + strings.Replace(everyByte(), "'", `'\''`, 1) + "'"},
}

// throughShell gives script's standard output in the C locale, where no byte
// is part of another.
func throughShell(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sh -c %q: %v", script, err)
	}
	return string(out)
}

// The sentinel shows that the word ended where it should.
func printed(word string) string { return `printf '%s|%s|%s' "$#" ` + word + ` end` }

func TestQuote(t *testing.T) {
	for _, c := range words {
		t.Run(c.name, func(t *testing.T) {
			if got := Quote(c.in); got != c.want {
				t.Errorf("Quote(%q): got %q, want %q", c.in, got, c.want)
			}
			if got, want := throughShell(t, printed(Quote(c.in))), "0|"+c.in+"|end"; got != want {
				t.Errorf("through sh: got %q, want %q", got, want)
			}
		})
	}
}

// An assignment is what the plugin uses the words for.
func TestQuoteInAssignment(t *testing.T) {
	for _, c := range words {
		t.Run(c.name, func(t *testing.T) {
			got := throughShell(t, "v="+Quote(c.in)+"\n"+`printf %s "$v"`)
			if got != c.in {
				t.Errorf("got %q, want %q", got, c.in)
			}
		})
	}
}

func FuzzQuote(f *testing.F) {
	for _, c := range words {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// NUL is documented as the caller's to refuse; the bound is the
		// kernel's on one argument (MAX_ARG_STRLEN), quotes grow fourfold.
		if strings.ContainsRune(s, 0) || len(s) > 30000 {
			t.Skip()
		}
		if got, want := throughShell(t, printed(Quote(s))), "0|"+s+"|end"; got != want {
			t.Errorf("through sh: got %q, want %q", got, want)
		}
	})
}
