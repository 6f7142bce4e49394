// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// testUID is the first of 20 users that nothing else should have, not even
// another run of these tests at the same time: either would kill the other's
// processes.
var testUID = 1_234_560_000 + os.Getpid()%10_000*20

func TestParseNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user")
	}
	for _, value := range []string{"nobody", "1234567000-1234567001"} {
		if _, err := Parse(value); err == nil || !strings.Contains(err.Error(), "needs root") {
			t.Errorf("%s: got %v, want needs root", value, err)
		}
	}
}

func TestParseUser(t *testing.T) {
	testkit.NeedRoot(t)
	tests := []struct{ name, value, want string }{
		{"name", "nobody", ""},
		{"number", "65534", ""},
		{"root", "root", "user number 0 is root"},
		{"root's number", "0", "user number 0 is root"},
		{"unknown", "no-such-user-here", "no such user"},
		{"unknown number", "1234567000", "no such user"},
		{"empty", "", "no such user"},
		{"negative", "-1", "no such user"},
		{"two", "nobody,daemon", "no such user"},
		{"path", "../nobody", "no such user"},
		{"with a hyphen", "no-such", "no such user"},
		{"no low", "-5", "no such user"},
		{"no high", "5-", "give a range of numbers as LOW-HIGH"},
		{"three", "1-2-3", "no such user"},
		{"names", "a-b", "no such user"},
		{"space", "1 - 2", "no such user"},
		{"plus", "+1-+2", "no such user"},
		{"underscore", "1_000-2_000", "no such user"},
		{"newline", "1000-2000\n", "no such user"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ids, err := Parse(test.value)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id := ids.all[0]; len(ids.all) != 1 || id.UID != 65534 || id.name != "nobody" {
				t.Errorf("got %d users, %+v, want nobody", len(ids.all), id)
			}
		})
	}
}

func TestParseRange(t *testing.T) {
	testkit.NeedRoot(t)
	tests := []struct{ name, value, want string }{
		{"range", fmt.Sprintf("%d-%d", testUID, testUID+9), ""},
		{"one", fmt.Sprintf("%d-%d", testUID, testUID), ""},
		{"root in it", "0-10", "user number 0 is root"},
		{"backwards", "1234567009-1234567000", "larger"},
		{"32 bits", "4294967290-4294967294", "at most"},
		{"64 bits", "1-18446744073709551616", "at most"},
		{"too many", "100000-900000", "more than"},
		{"too high", "2147483640-2147483646", "above"},
		{"a user's number", "65533-65534", "65534 is the user nobody"},
		{"a user's number amid others", "65000-66000", "65534 is the user nobody"},
	}
	users := namesByNumber("/etc/passwd")
	for id, name := range namesByNumber("/etc/group") {
		if users[id] == "" {
			tests = append(tests, struct{ name, value, want string }{
				"a group's number", id + "-" + id, id + " is the group " + name,
			})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ids, err := Parse(test.value)
			if test.want == "" {
				if err != nil || ids.all[0].UID != testUID || ids.all[0].GID != testUID {
					t.Errorf("got %+v, %v, want users from %d", ids, err, testUID)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestNamesByNumber(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0:root:/root:/bin/sh\n#comment\n\n+@netgroup\nlast:x:1234:"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"0": "root", "1234": "last"}
	if got := namesByNumber(file); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := namesByNumber(file + ".none"); got == nil || len(got) != 0 {
		t.Errorf("got %v without a file, want an empty map", got)
	}
}
