// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// aUser is a user that nothing else should have, not even another run of these
// tests at the same time: either would kill the other's processes.
func aUser(t *testing.T) *users.User {
	t.Helper()
	testkit.NeedRoot(t)
	uid := 1_234_760_000 + os.Getpid()%10_000*20
	pool, err := users.Parse(fmt.Sprintf("%d-%d", uid, uid))
	testkit.Must(t, err)
	u, err := pool.Acquire(context.Background())
	testkit.Must(t, err)
	t.Cleanup(u.Release)
	return u
}

// dirOf makes a directory of u's own in one that u cannot list.
func dirOf(t *testing.T, u *users.User) string {
	t.Helper()
	parent, err := os.MkdirTemp("/var/tmp", "tmpdisk-test-")
	testkit.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(parent) })
	dir := filepath.Join(parent, "d")
	for _, err := range []error{os.Chmod(parent, 0o711), os.Mkdir(dir, 0o700), os.Chown(dir, u.UID, u.GID)} {
		testkit.Must(t, err)
	}
	return dir
}

func TestCommandRunsAsUser(t *testing.T) {
	u := aUser(t)
	script := `{ id -u; id -ru; id -g; id -G
[ "$HOME" = "$PWD" ] && [ "$TMPDIR" = "$PWD" ] && [ -z "$USER" ] && echo own
>file && echo writes
ls .. 2>/dev/null || echo cannot list
mktemp >/dev/null && echo temporary
grep -c 'Cap\(Prm\|Eff\|Inh\|Amb\):.*[1-9a-f]' /proc/self/status
grep NoNewPrivs: /proc/self/status
} >&2; exit 1`
	uid := fmt.Sprint(u.UID)
	want := "command: exit code 1: " + strings.Join([]string{uid, uid, uid, uid, "own", "writes", "cannot list", "temporary", "0", "NoNewPrivs:\t1"}, "\n")
	err := best.Run(context.Background(), Command{Script: script, Dir: dirOf(t, u), As: u})
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// To open /dev/stderr takes permission, unlike to write to descriptor 2.
func TestUserMayOpenStandardError(t *testing.T) {
	u := aUser(t)
	eachWay(t, func(t *testing.T, r *Runner) {
		script := "echo one >/dev/stderr; echo two >/proc/self/fd/2; echo three >&2; exit 1"
		err := r.Run(context.Background(), Command{Script: script, Dir: dirOf(t, u), As: u})
		if want := "command: exit code 1: one\ntwo\nthree"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestNothingOfTheUserOutlivesItsCommand(t *testing.T) {
	u := aUser(t)
	// As well without a namespace, where by-uid is all there is.
	eachWay(t, func(t *testing.T, r *Runner) {
		for _, l := range leavers {
			t.Run(l.name, func(t *testing.T) {
				dir := dirOf(t, u)
				exe, err := os.Executable()
				testkit.Must(t, err)
				// The test program itself is in a directory of root's.
				testkit.Must(t, exec.Command("cp", exe, dir+"/exe").Run())
				script := "exec env -i dir=$PWD started=$PWD/started exe=$PWD/exe PATH=$PATH sh -c '" +
					strings.ReplaceAll(l.script+"\n"+awaitStart, "'", `'\''`) + "'"
				if err := r.Run(context.Background(), Command{Script: script, Dir: dir, As: u}); err != nil {
					t.Error(err)
				}
				if alive := processesOf(t, u.UID); len(alive) > 0 {
					t.Errorf("got %d processes, want none: %s", len(alive), alive[0])
				}
			})
		}
	})
}

// processesOf lists what is alive and runs as uid.
func processesOf(t *testing.T, uid int) []string {
	t.Helper()
	// One whose first thread has ended is a zombie with other threads.
	dead := regexp.MustCompile(`(?s)\nState:\t[ZX].*\nThreads:\t[01]\n`)
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil || len(files) == 0 {
		t.Fatal("no processes: ", err)
	}
	return slices.DeleteFunc(files, func(file string) bool {
		status, _ := os.ReadFile(file)
		return dead.Match(status) || !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", uid))
	})
}
