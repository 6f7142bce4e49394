// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testUID is the first of 20 users that nothing else should have, not even
// another run of these tests at the same time: either would kill the other's
// processes.
var testUID = 1_234_560_000 + os.Getpid()%10_000*20

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func TestParseUsersNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user")
	}
	for name, parse := range map[string]func(string) (*identities, error){
		"command-user": parseCommandUser, "command-uids": parseCommandUIDs,
	} {
		if _, err := parse("1234567000-1234567001"); err == nil || !strings.Contains(err.Error(), "needs root") {
			t.Errorf("%s: got %v, want needs root", name, err)
		}
	}
}

func TestParseCommandUser(t *testing.T) {
	needRoot(t)
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
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ids, err := parseCommandUser(test.value)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id := ids.all[0]; len(ids.all) != 1 || id.uid != 65534 || id.name != "nobody" {
				t.Errorf("got %d users, %+v, want nobody", len(ids.all), id)
			}
		})
	}
}

func TestParseCommandUIDs(t *testing.T) {
	needRoot(t)
	tests := []struct{ name, value, want string }{
		{"range", fmt.Sprintf("%d-%d", testUID, testUID+9), ""},
		{"one", fmt.Sprintf("%d-%d", testUID, testUID), ""},
		{"root in it", "0-10", "user number 0 is root"},
		{"backwards", "1234567009-1234567000", "larger"},
		{"no range", "1234567000", "not LOW-HIGH"},
		{"empty", "", "not LOW-HIGH"},
		{"no low", "-5", "not LOW-HIGH"},
		{"no high", "5-", "not LOW-HIGH"},
		{"three", "1-2-3", "not LOW-HIGH"},
		{"names", "a-b", "not LOW-HIGH"},
		{"space", "1 - 2", "not LOW-HIGH"},
		{"plus", "+1-+2", "not LOW-HIGH"},
		{"underscore", "1_000-2_000", "not LOW-HIGH"},
		{"32 bits", "4294967290-4294967294", "not LOW-HIGH"},
		{"64 bits", "1-18446744073709551616", "not LOW-HIGH"},
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
			ids, err := parseCommandUIDs(test.value)
			if test.want == "" {
				if err != nil || ids.all[0].uid != testUID || ids.all[0].gid != testUID {
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

func TestNoIdentities(t *testing.T) {
	var none *identities
	id, err := none.acquire(context.Background())
	if id != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", id, err)
	}
	id.release()
}

func TestAcquireWaits(t *testing.T) {
	needRoot(t)
	ids := newIdentities("command-uids", &identity{uid: testUID, gid: testUID})
	first, err := ids.acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ids.acquire(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "command-uids: ") {
		t.Errorf("got %v, want Canceled and the parameter", err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		first.release()
	}()
	second, err := ids.acquire(context.Background())
	if err != nil || second != first {
		t.Errorf("got %v, %v, want the user that was released", second, err)
	}
	second.release()
}

// runAs runs script as id in a directory of its own in parent.
func runAs(t *testing.T, id *identity, parent, script string) (*workdir, error) {
	t.Helper()
	w := makeWorkdir(t, parent)
	if err := w.giveTo(id.uid, id.gid); err != nil {
		t.Fatal(err)
	}
	return w, (&command{script: script, dir: w.path(), as: id}).run(context.Background())
}

// openParent is a directory as TMPDIR usually is: reachable by all.
func openParent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "tmpdisk-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o1777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCommandRunsAsUser(t *testing.T) {
	needRoot(t)
	ids, err := parseCommandUIDs(fmt.Sprintf("%d-%d", testUID, testUID+1))
	if err != nil {
		t.Fatal(err)
	}
	id, err := ids.acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer id.release()
	_, err = runAs(t, id, openParent(t), `{ id -u; id -ru; id -g; id -G
[ "$HOME" = "$PWD" ] && [ "$TMPDIR" = "$PWD" ] && [ -z "$USER" ] && echo own
>file && echo writes
ls .. 2>/dev/null || echo cannot list
mktemp >/dev/null && echo temporary
grep -c 'Cap\(Prm\|Eff\|Inh\|Amb\):.*[1-9a-f]' /proc/self/status
grep NoNewPrivs: /proc/self/status
} >&2; exit 1`)
	uid := fmt.Sprint(id.uid)
	want := "command: exit code 1: " + strings.Join([]string{uid, uid, uid, uid, "own", "writes", "cannot list", "temporary", "0", "NoNewPrivs:\t1"}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCommandsCannotReadOtherDisks(t *testing.T) {
	needRoot(t)
	ids, err := parseCommandUIDs(fmt.Sprintf("%d-%d", testUID, testUID+1))
	if err != nil {
		t.Fatal(err)
	}
	parent := openParent(t)
	a, errA := ids.acquire(context.Background())
	b, errB := ids.acquire(context.Background())
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	defer a.release()
	defer b.release()
	w, err := runAs(t, a, parent, "echo secret >disk; chmod 666 disk")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`cat %[1]s/disk >/dev/null 2>&1 && echo reads >&2
ls %[1]s >/dev/null 2>&1 && echo lists >&2
(echo >>%[1]s/disk) 2>/dev/null && echo writes >&2
exit 7`, w.path())
	if _, err := runAs(t, b, parent, script); err == nil || err.Error() != "command: exit code 7" {
		t.Errorf("got %v, want only exit code 7", err)
	}
}

func TestNothingOfTheUserOutlivesItsCommand(t *testing.T) {
	needRoot(t)
	ids, err := parseCommandUIDs(fmt.Sprintf("%d-%d", testUID, testUID))
	if err != nil {
		t.Fatal(err)
	}
	// As well without a namespace, where by-uid is all there is.
	eachWay(t, func(t *testing.T, how *containment) {
		for _, l := range leavers {
			t.Run(l.name, func(t *testing.T) {
				id, err := ids.acquire(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				defer id.release()
				w := makeWorkdir(t, openParent(t))
				if err := w.giveTo(id.uid, id.gid); err != nil {
					t.Fatal(err)
				}
				exe, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				// The test program itself is in a directory of root's.
				if err := exec.Command("cp", exe, w.path()+"/exe").Run(); err != nil {
					t.Fatal(err)
				}
				script := "exec env -i dir=$PWD started=$PWD/started exe=$PWD/exe PATH=$PATH sh -c '" +
					strings.ReplaceAll(l.script+"\n"+awaitStart, "'", `'\''`) + "'"
				c := &command{script: script, dir: w.path(), as: id, contain: how}
				if err := c.run(context.Background()); err != nil {
					t.Error(err)
				}
				alive, err := processesOf(id.uid)
				if err != nil || len(alive) > 0 {
					t.Errorf("got processes %v, %v, want none", alive, err)
				}
			})
		}
	})
}
