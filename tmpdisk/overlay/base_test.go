// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestIdentity(t *testing.T) {
	path, content := image(t, seeded(t), 10*Block)
	b := openBase(t, path)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	same := func(what string) {
		t.Helper()
		again := openBase(t, filepath.Dir(path)+"/link")
		if err := b.Changed(); err != nil || again.Identity() != b.Identity() {
			t.Errorf("%s: got %v, %q, want %q", what, err, again.Identity(), b.Identity())
		}
	}
	if err := b.Link(int(dir.Fd()), "link"); err != nil {
		t.Fatal(err)
	}
	same("linked")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	same("renamed")
	if b.Is(path) || !b.Is(path+".old") {
		t.Error("got it at its old path, want it at the new one")
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if b.Is(path) || openBase(t, path).Identity() == b.Identity() {
		t.Error("got a copy taken for it")
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path+".old", later, later); err != nil {
		t.Fatal(err)
	}
	testkit.Contains(t, b.Changed(), "mtime", b.Identity())
}

// What never changes is known whatever its times are, and can be linked though it had no
// name.
func TestIdentityOfWhatIsOurs(t *testing.T) {
	dir := t.TempDir()
	b, err := Own(emptyFile(t, dir, 0), "", "mold")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if err := b.Link(unix.AT_FDCWD, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dir+"/link", time.Time{}, time.Unix(5, 5)); err != nil {
		t.Fatal(err)
	}
	if err := b.Changed(); err != nil || !b.Is(dir+"/link") {
		t.Errorf("got %v, want it to be as before", err)
	}
	// Not even one with its inode, which a filesystem may give again at once.
	testkit.Contains(t, errors.New(b.Identity()), "mold inode ", " made ")
	_, err = Reopen(dir+"/link", strings.Replace(b.Identity(), " made ", " made 1", 1), testkit.Quiet, nil)
	if !errors.Is(err, ErrOther) {
		t.Errorf("got %v, want ErrOther for what was made at another time", err)
	}
}

func TestOpenWhatIsNoBase(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "a directory", dir + "/fifo": "a FIFO", "/dev/null": "a character device", dir + "/none": "no such file",
	} {
		_, err := Open(path, testkit.Debug(t), func(error) {})
		testkit.Contains(t, err, path, want)
	}
}
