// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var wordsCases = []struct {
	name, text string
	want       []string
	err        string // what the error says; "" is none
}{
	{"nothing", "", nil, ""},
	{"blanks", " \t ", nil, ""},
	{"words", " -m 0\t-O  ^metadata_csum,quota ", []string{"-m", "0", "-O", "^metadata_csum,quota"}, ""},
	{"single quotes", `-L 'a  $b\' -x`, []string{"-L", `a  $b\`, "-x"}, ""},
	{"double quotes", `-L "a 'b' \"c\" \$ \x"`, []string{"-L", `a 'b' "c" $ \x`}, ""},
	{"backslashes", `a\ b \'c \\ \$x`, []string{"a b", "'c", `\`, "$x"}, ""},
	{"quotes in a word", `a'b c'"d"\ e`, []string{"ab cd e"}, ""},
	{"empty words", `'' "" x''`, []string{"", "", "x"}, ""},
	{"lines joined", "a\\\nb \\\n c \"d\\\ne\"", []string{"ab", "c", "de"}, ""},
	{"any byte", "\xff\x81\x88 \u00e4", []string{"\xff\x81\x88", "\u00e4"}, ""},
	{"single quote open", `a 'b`, nil, "single quote that is not closed"},
	{"double quote open", `a "b\"`, nil, "double quote that is not closed"},
	{"backslash last", `a \`, nil, "backslash at the end"},
	{"variable", `-L $x`, nil, `"$" means something to the shell`},
	{"variable between quotes", `-L "$x"`, nil, `"$" between double quotes`},
	{"command between quotes", "\"`id`\"", nil, "\"`\" between double quotes"},
	{"another command", "-m 0; id", nil, `";" means`},
	{"redirection", "-m 0 >x", nil, `">" means`},
	{"line", "-m 0\n-q", nil, `"\n" means`},
	{"comment", "-m 0 #x", nil, `"#" means`},
	{"home", "-d ~", nil, `"~" means`},
	{"files", "-d *", nil, `"*" means`},
}

func TestWords(t *testing.T) {
	for _, c := range wordsCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Words(c.text)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got error %v, want %q", err, c.err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What Words accepts are the shell's words. What it refuses for another reason than
// a character of the shell's, the shell refuses.
func FuzzWords(f *testing.F) {
	for _, c := range wordsCases {
		f.Add(c.text)
	}
	for c := 1; c < 256; c++ {
		f.Add("a" + string([]byte{byte(c)}) + `b "` + string([]byte{byte(c)}) + `" \` + string([]byte{byte(c)}))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Words(text)
		if strings.ContainsRune(text, 0) || err != nil && !strings.Contains(err.Error(), "not closed") {
			return
		}
		// A function, so that the shell has read all before it runs any of it.
		cmd := exec.Command("/bin/sh", "-c", "f() { set -- "+text+"\n"+`for w; do printf '%s\0' "$w"; done; }; f`)
		cmd.Env = []string{"LC_ALL=C"}
		out, shellErr := cmd.Output()
		if (err != nil) != (shellErr != nil) {
			t.Fatalf("got error %v, the shell %v", err, shellErr)
		}
		var want []string
		for _, word := range bytes.Split(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
			want = append(want, string(word))
		}
		if len(out) == 0 {
			want = nil
		}
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("got %q, the shell has %q", got, want)
		}
	})
}
