// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// leave makes a directory as a server does that is then killed.
func leave(t *testing.T, parent string) string {
	t.Helper()
	w, err := New(parent)
	testkit.Must(t, err)
	w.dir.Close() // the lock goes with it
	w.parent.Close()
	return w.full
}

const nameOfOurs = prefix + "0123456789abcdef0123"

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	parent := t.TempDir()
	leave(t, parent)
	full := leave(t, parent)
	outside := fill(t, full)
	// fill took away permissions; the sweep goes by the mode.
	testkit.Must(t, errors.Join(os.Chmod(full, 0o700), os.Chmod(leave(t, parent), modeGiven)))
	if err := Sweep(parent, testkit.Debug(t)); err != nil {
		t.Error(err)
	}
	testkit.WantEmpty(t, parent)
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("got %v, want what a link points at unharmed", err)
	}
}

func TestSweepTouchesNothingElse(t *testing.T) {
	mkdir := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			testkit.Must(t, os.Mkdir(path, 0o700))
			testkit.Must(t, os.WriteFile(path+"/file", nil, 0o600))
			testkit.Must(t, os.Chmod(path, mode))
		}
	}
	tests := []struct {
		name, entry string
		make        func(t *testing.T, path string)
		root        bool
	}{
		{name: "other name", entry: "something", make: mkdir(0o700)},
		{name: "prefix only", entry: prefix, make: mkdir(0o700)},
		{name: "too short", entry: nameOfOurs[:len(nameOfOurs)-1], make: mkdir(0o700)},
		{name: "too long", entry: nameOfOurs + "0", make: mkdir(0o700)},
		{name: "newline after it", entry: nameOfOurs + "\n", make: mkdir(0o700)},
		{name: "capital digit", entry: prefix + "0123456789ABCDEF0123", make: mkdir(0o700)},
		{name: "something before it", entry: "x" + nameOfOurs, make: mkdir(0o700)},
		{name: "readable by others", entry: nameOfOurs, make: mkdir(0o755)},
		{name: "writable by others", entry: nameOfOurs, make: mkdir(0o777 | os.ModeSticky)},
		{name: "writable by the group", entry: nameOfOurs, make: mkdir(0o770)},
		{name: "not accessible", entry: nameOfOurs, make: mkdir(0o600)},
		{name: "file", entry: nameOfOurs, make: func(t *testing.T, path string) {
			testkit.Must(t, os.WriteFile(path, nil, 0o700))
		}},
		{name: "symbolic link", entry: nameOfOurs, make: func(t *testing.T, path string) {
			target := filepath.Join(filepath.Dir(path), "target")
			mkdir(0o700)(t, target)
			testkit.Must(t, os.Symlink(target, path))
		}},
		{name: "another user's", entry: nameOfOurs, root: true, make: func(t *testing.T, path string) {
			mkdir(0o700)(t, path)
			testkit.Must(t, os.Chown(path, 61234, 61234))
		}},
	}
	list := func(t *testing.T, parent string) string {
		var b bytes.Buffer
		err := filepath.WalkDir(parent, func(path string, d os.DirEntry, err error) error {
			fmt.Fprintf(&b, "%s %v\n", path, d.Type())
			return nil
		})
		testkit.Must(t, err)
		return b.String()
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			parent := t.TempDir()
			path := filepath.Join(parent, test.entry)
			test.make(t, path)
			before := list(t, parent)
			if err := Sweep(parent, testkit.Debug(t)); err != nil {
				t.Error(err)
			}
			if after := list(t, parent); after != before {
				t.Errorf("got\n%swant\n%s", after, before)
			}
			os.Chmod(path, 0o700) // for TempDir
		})
	}
}

func TestSweepSparesTheLiving(t *testing.T) {
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	testkit.Must(t, os.WriteFile(w.Path()+"/disk", nil, 0o600))
	if err := Sweep(parent, testkit.Debug(t)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.Path() + "/disk"); err != nil {
		t.Errorf("got %v, want the disk", err)
	}
}

func TestSweepOfNothing(t *testing.T) {
	if err := Sweep(filepath.Join(t.TempDir(), "missing"), testkit.Debug(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want one that says it does not exist", err)
	}
}

// A sweep may lock and remove a directory between mkdir and flock. New
// must notice.
func TestSweepWhileDirectoriesAreMade(t *testing.T) {
	parent := t.TempDir()
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	for range 2 {
		sweepers.Add(1)
		go func() {
			defer sweepers.Done()
			for {
				select {
				case <-stop:
					return
				default:
					if err := Sweep(parent, testkit.Quiet); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	for range 500 {
		w, err := New(parent)
		if err != nil {
			t.Error(err)
			break
		}
		if err := os.WriteFile(w.Path()+"/disk", nil, 0o600); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(w.Path() + "/disk"); err != nil {
			t.Error(err)
		}
		if err := w.Remove(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	sweepers.Wait()
	testkit.WantEmpty(t, parent)
}

// TestSweepingProcess is not a test: it is one of the servers of the next one.
// It starts, sweeps and makes disks until it is killed, and if it loses one,
// says so by a file.
func TestSweepingProcess(t *testing.T) {
	parent := os.Getenv("TMPDISK_TEST_PARENT")
	if parent == "" {
		t.Skip("only runs as another test's child")
	}
	lost := func(err error) {
		name := filepath.Join(parent, fmt.Sprintf("lost-%d", os.Getpid()))
		if err := os.WriteFile(name, []byte(err.Error()), 0o600); err != nil {
			t.Error(err)
		}
	}
	for {
		if err := Sweep(parent, testkit.Quiet); err != nil {
			lost(err)
		}
		for range 5 {
			w, err := New(parent)
			if err != nil {
				lost(err)
				continue
			}
			disk := w.Path() + "/disk"
			if err := os.WriteFile(disk, []byte("data"), 0o600); err != nil {
				lost(err)
			}
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			if data, err := os.ReadFile(disk); err != nil || string(data) != "data" {
				lost(fmt.Errorf("got %q, %v", data, err))
			}
			if err := w.Remove(); err != nil {
				lost(err)
			}
		}
	}
}

func TestKilledServersLoseNoLiveDisk(t *testing.T) {
	parent := t.TempDir()
	begin := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSweepingProcess$")
		cmd.Env = append(os.Environ(), "TMPDISK_TEST_PARENT="+parent)
		testkit.Must(t, cmd.Start())
		return cmd
	}
	end := func(cmd *exec.Cmd) {
		cmd.Process.Kill()
		cmd.Wait()
	}
	servers := []*exec.Cmd{begin(), begin()}
	for round := range 50 {
		time.Sleep(time.Duration(10+rand.IntN(30)) * time.Millisecond)
		i := round % 2
		end(servers[i])
		servers[i] = begin()
	}
	for _, cmd := range servers {
		end(cmd)
	}
	lost, err := filepath.Glob(parent + "/lost-*")
	testkit.Must(t, err)
	for _, name := range lost {
		why, _ := os.ReadFile(name)
		t.Errorf("lost: %s", why)
		os.Remove(name)
	}
	if err := Sweep(parent, testkit.Debug(t)); err != nil {
		t.Error(err)
	}
	testkit.WantEmpty(t, parent)
}
