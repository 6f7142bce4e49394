// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Setting
	}{
		{"one", "size=1G\n", []Setting{{"size", "1G", 1}}},
		{"the order stays, and so does what is there twice", "b=1\na=2\nb=3\n",
			[]Setting{{"b", "1", 1}, {"a", "2", 2}, {"b", "3", 3}}},
		{"comments and empty lines", "# a=b\n\n \t\nsize=1G\n#\n", []Setting{{"size", "1G", 4}}},
		{"only a comment", "# nothing\n", nil},
		{"only an empty line", "\n", nil},
		{"no value", "command=\n", []Setting{{"command", "", 1}}},
		{"more than one =", "command=a=b=c\n", []Setting{{"command", "a=b=c", 1}}},
		{"blanks", "label =\t a b \n", []Setting{{"label ", "\t a b ", 1}}},
		{"quotes stay", "label=\"a\" 'b'\n", []Setting{{"label", `"a" 'b'`, 1}}},
		{"# is no comment in a value", "command=:;# x\n", []Setting{{"command", ":;# x", 1}}},
		{"any bytes", "label=\xff\x01\u00e4\n", []Setting{{"label", "\xff\x01\u00e4", 1}}},
		{"a value that goes on", "command=a\\\nb\nsize=1\n", []Setting{{"command", "a\nb", 1}, {"size", "1", 3}}},
		{"it begins in the next line", "command=\\\n\ta\n", []Setting{{"command", "\n\ta", 1}}},
		{"what looks like something else goes on", "\ncommand=a\\\n# c\\\n\\\n\\\nx=y\n#\n",
			[]Setting{{"command", "a\n# c\n\n\nx=y", 2}}},
		{"it goes on with an empty line", "command=a\\\n\nx=y\n", []Setting{{"command", "a\n", 1}, {"x", "y", 3}}},
		{"a backslash of the script's", "command=a\\\\\nb\n", []Setting{{"command", "a\\\nb", 1}}},
		{"three backslashes", "command=a\\\\\\\nb\n", []Setting{{"command", "a\\\\\nb", 1}}},
		{"backslashes elsewhere", "command=\\a\\ \nx=y\n", []Setting{{"command", "\\a\\ ", 1}, {"x", "y", 2}}},
		{"a comment does not go on", "# a\\\nx=y\n", []Setting{{"x", "y", 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"line 1: ", "empty", "half-written"}},
		{"no newline at the end", "size=1G\ntype=ext4", []string{"line 2: ", "half-written"}},
		{"no newline after a comment", "#", []string{"line 1: ", "half-written"}},
		{"no newline after a backslash", "a=b\\\n\\", []string{"line 2: ", "half-written"}},
		{"no =", "size=1G\nread only\n", []string{"line 2: ", `"read only"`, "size=1G"}},
		{"no key", "=1G\n", []string{"line 1: ", `"=1G"`, "size=1G"}},
		{"the = is in the next line", "a\\\nb=c\n", []string{"line 1: ", "size=1G"}},
		{"begins with a blank", "x=y\n size=1G\n", []string{"line 2: ", "begins with a blank"}},
		{"begins with a tab", "\tsize=1G\n", []string{"line 1: ", "begins with a blank"}},
		{"nothing follows a backslash", "x=y\nsize=1G\\\n", []string{"line 2: ", "backslash"}},
		{"nothing follows the second", "size=1G\\\nb\\\n", []string{"line 2: ", "backslash"}},
		{"CRLF", "# x\r\nsize=1G\r\n", []string{"line 1: ", "carriage return", `sed -i 's/\r$//'`}},
		{"a carriage return elsewhere", "x=y\nlabel=a\rb\n", []string{"line 2: ", "carriage return"}},
		{"NUL", "x=y\nlabel=a\x00b\n", []string{"line 2: ", "NUL"}},
		{"NUL in a comment", "#\x00\n", []string{"line 1: ", "NUL"}},
		{"byte order mark", "\xef\xbb\xbfsize=1G\n", []string{"line 1: ", "byte order mark", "UTF-8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			testkit.Contains(t, err, tt.want...)
			if got != nil {
				t.Errorf("got %q with the error, want none", got)
			}
		})
	}
}

func TestAtLine(t *testing.T) {
	cause := errors.New("unknown")
	err := AtLine(7, cause)
	if err.Error() != "line 7: unknown" || !errors.Is(err, cause) {
		t.Errorf("got %v, want line 7: %v", err, cause)
	}
}

// As much as a file may have of it takes no time.
func TestParseLongest(t *testing.T) {
	text := []byte("a=" + strings.Repeat("\\\n", maxFile/2-2) + "b\n")
	got, err := Parse(text)
	if want := strings.Repeat("\n", maxFile/2-2) + "b"; err != nil || len(got) != 1 || got[0].Value != want {
		t.Errorf("got %d settings, %v, want one of %d bytes", len(got), err, len(want))
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "Z9", "-", "_", "a.b", "win-10_x64.old", "a.", "-rf", strings.Repeat("a", 64)} {
		if !ValidName(name) {
			t.Errorf("got false for %q, want true", name)
		}
	}
	for _, name := range []string{
		"", ".", "..", ".a", "a/b", "/", "../a", "a b", " a", "a\n", "a\x00", "a\x00b", "\xff", "\u00e4", "a\u0301b",
		"a=b", "a:b", "~", "a\\b", strings.Repeat("a", 65), strings.Repeat("a", 4096),
	} {
		if ValidName(name) {
			t.Errorf("got true for %.40q, want false", name)
		}
	}
}

// render writes settings as Parse reads them.
func render(settings []Setting) []byte {
	var b bytes.Buffer
	b.WriteString("#\n")
	for _, s := range settings {
		b.WriteString(s.Key + "=" + strings.ReplaceAll(s.Value, "\n", "\\\n") + "\n")
	}
	return b.Bytes()
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "\n", "size=1G\ntype=ext4\n", "# a\n\ncommand=a\\\nb\\\\\n\n", "a=b\\\n", "a=b", "=\n", " a=b\n", "a=b\r\n",
		"\xef\xbb\xbfa=b\n", "a\x00=b\n", "a=\xff\n", "a\n", "a=\\\n#\\\n\\\nb\n", "\u2028\x1b[2J\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := Parse(text)
		if err != nil {
			if msg := err.Error(); !strings.HasPrefix(msg, "line ") || strings.ContainsFunc(msg, unicode.IsControl) || len(msg) > 500 {
				t.Errorf("%q: got %q, want one short line that says where", text, msg)
			}
			return
		}
		lines := strings.Split(string(text), "\n")
		for _, s := range settings {
			if !strings.HasPrefix(lines[s.Line-1], s.Key+"=") {
				t.Errorf("%q: got %+v, want the line where it begins", text, s)
			}
		}
		again, err := Parse(render(settings))
		if err != nil || len(again) != len(settings) {
			t.Fatalf("%q: got %q, %v, want %q", text, again, err, settings)
		}
		for i, s := range settings {
			if again[i].Key != s.Key || again[i].Value != s.Value {
				t.Errorf("%q: got %q, want %q", text, again[i], s)
			}
		}
	})
}

func FuzzValidName(f *testing.F) {
	for _, name := range []string{"", ".", "a", "a.b", "a/b", "..", "\x00", "\xff", strings.Repeat("a", 65)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if ValidName(name) && (len(name) > 64 || name == "" || name[0] == '.' || strings.ContainsAny(name, "/\x00\n= ")) {
			t.Errorf("got true for %q", name)
		}
	})
}
