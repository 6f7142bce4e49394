// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"fmt"
	"os"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// runAs runs script as u in a directory of its own in parent.
func runAs(t *testing.T, u *users.User, parent, script string) (*workdir.Dir, error) {
	t.Helper()
	w, err := workdir.New(parent)
	testkit.Must(t, err)
	t.Cleanup(func() { w.Remove() })
	testkit.Must(t, w.GiveTo(u.UID, u.GID))
	r := command.NewRunner(testkit.Debug(t))
	return w, r.Run(context.Background(), command.Command{Script: script, Dir: w.Path(), As: u})
}

func TestCommandsCannotReadOtherDisks(t *testing.T) {
	testkit.NeedRoot(t)
	uid := 1_234_960_000 + os.Getpid()%10_000*20
	pool, err := users.Parse(fmt.Sprintf("%d-%d", uid, uid+1))
	testkit.Must(t, err)
	parent := testkit.SharedDir(t)
	a, errA := pool.Acquire(context.Background())
	b, errB := pool.Acquire(context.Background())
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	defer a.Release()
	defer b.Release()
	w, err := runAs(t, a, parent, "echo secret >disk; chmod 666 disk")
	testkit.Must(t, err)
	script := fmt.Sprintf(`cat %[1]s/disk >/dev/null 2>&1 && echo reads >&2
ls %[1]s >/dev/null 2>&1 && echo lists >&2
(echo >>%[1]s/disk) 2>/dev/null && echo writes >&2
exit 7`, w.Path())
	if _, err := runAs(t, b, parent, script); err == nil || err.Error() != "command: exit code 7" {
		t.Errorf("got %v, want only exit code 7", err)
	}
}
