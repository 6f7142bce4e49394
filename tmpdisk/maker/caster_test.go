// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// casterOf is a Caster that leaves nothing behind when it is stopped.
func casterOf(t *testing.T, pairs ...string) *Caster {
	t.Helper()
	dir := t.TempDir()
	c := NewCaster(makerIn(t, dir, pairs...), NewTurns(), func() {})
	t.Cleanup(func() {
		c.Stop(errStopped)
		testkit.WantEmpty(t, dir)
	})
	return c
}

var errStopped = errors.New("stopped")

func open(c *Caster) (disk.Interface, error) {
	if err := c.Wait(context.Background()); err != nil {
		return nil, err
	}
	return c.Make(context.Background())
}

func TestMkfsRunsOnce(t *testing.T) {
	runs := testkit.Program(t, "mkfs.ext4", `exec /usr/sbin/mkfs.ext4 "$@"`)
	c := casterOf(t, "size", "20M")
	c.Start()
	seen := map[string]bool{}
	for range 20 {
		d, err := open(c)
		testkit.Must(t, err)
		uuid := make([]byte, 16)
		if err := d.PRead(uuid, 1024+104); err != nil {
			t.Error(err)
		}
		if seen[string(uuid)] {
			t.Errorf("got UUID %x twice", uuid)
		}
		seen[string(uuid)] = true
		closeDisk(t, d)
	}
	if got := testkit.Runs(t, runs); got != 1 {
		t.Errorf("got %d runs of mkfs, want 1", got)
	}
}

// A failure is told to the client that meets it, and the next one tries again.
func TestMkfsFailsForATime(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	testkit.Must(t, os.WriteFile(broken, nil, 0o600))
	testkit.Program(t, "mkswap", `[ ! -e `+broken+` ] || { echo "no such luck"; exit 3; }; exec /usr/sbin/mkswap "$@"`)
	c := casterOf(t, "size", "1M", "type", "swap")
	for range 2 {
		_, err := open(c)
		testkit.Contains(t, err, "exit code 3", "no such luck")
	}
	testkit.Must(t, os.Remove(broken))
	d, err := open(c)
	testkit.Must(t, err)
	closeDisk(t, d)
}

// A mkfs that hangs is ended when its last client leaves, unless it has begun just now.
func TestMkfsThatNobodyWaitsForEnds(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "hangs")
	testkit.Must(t, os.WriteFile(hangs, nil, 0o600))
	runs := testkit.Program(t, "mkswap", `[ ! -e `+hangs+` ] || sleep 1000; exec /usr/sbin/mkswap "$@"`)
	c, clock := casterOf(t, "size", "1M", "type", "swap"), testkit.NewClock()
	c.clock = clock
	c.Start()
	testkit.WaitFor(t, "mkfs", func() bool { return testkit.Runs(t, runs) == 1 })
	gone, leave := context.WithCancel(context.Background())
	leave()
	first := c.making
	for _, after := range []time.Duration{unwanted - 1, 1} {
		if err := first.ctx.Err(); err != nil {
			t.Fatalf("got %v, want a mkfs that goes on", err)
		}
		clock.Pass(after)
		testkit.Contains(t, c.Wait(gone), "wait for mkfs")
	}
	testkit.Must(t, os.Remove(hangs))
	d, err := open(c)
	testkit.Must(t, err)
	closeDisk(t, d)
	if got := testkit.Runs(t, runs); got != 2 {
		t.Errorf("got %d runs of mkfs, want another one", got)
	}
}

// What fails is in the log once, as at the start there is no client to be told,
// and not again for each client.
func TestMkfsFailureIsLoggedOnce(t *testing.T) {
	testkit.Program(t, "mkswap", `echo "no such luck"; exit 3`)
	c := casterOf(t, "size", "1M", "type", "swap")
	errs := make(chan string, 10)
	c.maker.opts.Error = func(line string) { errs <- line }
	c.Start()
	for range 3 {
		_, err := open(c)
		testkit.Contains(t, err, "exit code 3", "no such luck")
	}
	c.Stop(errStopped)
	close(errs)
	n := 0
	for line := range errs {
		if strings.HasPrefix(line, "type swap: no disk can be made") {
			n++
			testkit.Contains(t, errors.New(line), "exit code 3", "no such luck")
		}
	}
	if n != 1 {
		t.Errorf("got %d lines about the type, want 1", n)
	}
}

// What stamping does not understand is made by mkfs, for each client.
func TestMkfsRunsForEachDiskThatIsNotUnderstood(t *testing.T) {
	runs := testkit.Program(t, "mkswap", `for disk; do :; done; printf strange | dd of="$disk" conv=notrunc status=none`)
	c := casterOf(t, "size", "1M", "type", "swap")
	for range 3 {
		d, err := open(c)
		testkit.Must(t, err)
		got := make([]byte, 7)
		if err := d.PRead(got, 0); err != nil || string(got) != "strange" {
			t.Errorf("got %q, %v, want what mkfs wrote", got, err)
		}
		closeDisk(t, d)
	}
	if got := testkit.Runs(t, runs); got < 3 {
		t.Errorf("got %d runs of mkfs, want one for each disk", got)
	}
}

// What is more than a mold may have is cloned from a file.
func TestCastOfALargeMold(t *testing.T) {
	testkit.Program(t, "mkswap", `for disk; do :; done; head -c 20000000 /dev/urandom | dd of="$disk" bs=1M conv=notrunc status=none
		exec /usr/sbin/mkswap "$@"`)
	c := casterOf(t, "size", "32M", "type", "swap")
	var first string
	for range 3 {
		d, err := open(c)
		testkit.Must(t, err)
		got := make([]byte, 1<<20)
		if err := d.PRead(got, 18<<20); err != nil {
			t.Error(err)
		}
		if first != "" && first != string(got) {
			t.Error("got another content than the disk before")
		}
		first = string(got)
		closeDisk(t, d)
	}
	if strings.Trim(first, "\x00") == "" {
		t.Error("got zeroes, want what mkfs wrote")
	}
	if c.ready.Load().stamp == nil {
		t.Error("mkfs runs for each disk")
	}
}

// Disks that are being cast while the Caster is stopped have what mkfs wrote, and later ones
// are refused.
func TestStopWhileLargeMoldsAreCast(t *testing.T) {
	testkit.Program(t, "mkswap", `for disk; do :; done; head -c 20000000 /dev/urandom | dd of="$disk" bs=1M conv=notrunc status=none
		exec /usr/sbin/mkswap "$@"`)
	for range 3 {
		c := casterOf(t, "size", "32M", "type", "swap")
		read := func(d disk.Interface) string {
			got := make([]byte, 1<<20)
			if err := d.PRead(got, 18<<20); err != nil {
				t.Error(err)
			}
			return string(got)
		}
		d, err := open(c)
		testkit.Must(t, err)
		want, cast := read(d), make(chan error, 100)
		for range 4 {
			go func() {
				for {
					d, err := c.Make(context.Background())
					cast <- err
					if err != nil {
						return
					}
					if read(d) != want {
						t.Error("got another content than the disk before")
					}
					closeDisk(t, d)
				}
			}()
		}
		for range 10 {
			testkit.Must(t, <-cast)
		}
		c.Stop(errStopped)
		for left, made := 4, 0; left > 0; made++ {
			if err := <-cast; err != nil {
				testkit.Contains(t, err, "the export has ended")
				left--
			} else if made > 1000 {
				t.Fatal("goes on though it is stopped")
			}
		}
		if read(d) != want {
			t.Error("a disk has another content than before the Caster was stopped")
		}
		closeDisk(t, d)
	}
}

func TestCastOnAFullFilesystem(t *testing.T) {
	dir := testkit.Tmpfs(t, "300k")
	c := casterOf(t, "size", "1G")
	d, err := open(c)
	testkit.Must(t, err)
	closeDisk(t, d)
	c.maker.opts.Dir = dir
	var full []disk.Interface
	for err == nil && len(full) < 20 {
		if d, err = open(c); err == nil {
			full = append(full, d)
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	for _, d := range full {
		closeDisk(t, d)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Bfree != fs.Blocks {
		t.Errorf("got %d of %d blocks free, want all", fs.Bfree, fs.Blocks)
	}
	testkit.WantEmpty(t, dir)
}

func TestStopEndsMkfs(t *testing.T) {
	testkit.Program(t, "mkswap", `sleep 1000`)
	c := casterOf(t, "size", "1M", "type", "swap")
	c.Start()
	opened := make(chan error)
	go func() {
		_, err := open(c)
		opened <- err
	}()
	c.Stop(errStopped)
	if err := <-opened; err == nil {
		t.Error("got a disk, want an error")
	}
}
