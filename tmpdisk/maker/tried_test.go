// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// What was tried is the mold.
func TestCasterTakesWhatWasTried(t *testing.T) {
	runs := testkit.Program(t, "mkswap", `exec /usr/sbin/mkswap "$@"`)
	made, err := makerIn(t, t.TempDir(), "size", "1M", "type", "swap").Fresh(context.Background())
	testkit.Must(t, err)
	fd, err := unix.FcntlInt(uintptr(made.FD()), unix.F_DUPFD_CLOEXEC, 0)
	testkit.Must(t, err)
	closeDisk(t, made)
	cfg := testconfig.Of(t, "size", "1M", "type", "swap")
	tried := &Tried{}
	tried.Add(map[string]int{KindKey(cfg, cfg.Size): fd})
	for i, want := range []int{1, 2} { // the second has to run it again
		c := casterOf(t, "size", "1M", "type", "swap")
		c.maker.opts.Tried = tried
		c.Start()
		testkit.Must(t, c.Wait(context.Background()))
		d, err := c.Make(context.Background())
		testkit.Must(t, err)
		signature := make([]byte, 10)
		if err := d.PRead(signature, 4096-10); err != nil || string(signature) != "SWAPSPACE2" {
			t.Errorf("caster %d: got %q, %v, want a signature", i, signature, err)
		}
		closeDisk(t, d)
		if got := testkit.Runs(t, runs); got != want {
			t.Errorf("caster %d: got %d runs, want %d", i, got, want)
		}
	}
	tried.Close()
}

// What nobody takes is closed, and so is what was not used.
func TestTriedAreClosed(t *testing.T) {
	open := func(name string) int { // not an os.File, which would close the number again
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
		testkit.Must(t, err)
		return fd
	}
	closed := func(fd int, name string) bool { // the number may be another's by now
		to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		return err != nil || !strings.Contains(to, name)
	}
	nobodys, unused := open("nobodys"), open("unused")
	if closed(nobodys, "nobodys") || closed(unused, "unused") {
		t.Fatal("one is not open")
	}
	c := casterOf(t, "size", "1M", "type", "swap")
	cfg := c.maker.opts.Config
	c.maker.opts.Tried = &Tried{}
	c.maker.opts.Tried.Add(map[string]int{"other": nobodys})
	c.given = unused
	if fd := c.maker.opts.Tried.take(c.maker); fd != -1 {
		t.Errorf("got %d for %s, want none", fd, KindKey(cfg, cfg.Size))
	}
	c.Stop(errStopped)
	c.maker.opts.Tried.Close()
	if !closed(nobodys, "nobodys") || !closed(unused, "unused") {
		t.Error("one is open still")
	}
}

// Some programs write into the disk who has run them.
func TestTriedOfAnotherUserAreNotTaken(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, who can give a file away")
	}
	c := casterOf(t, "size", "1M", "type", "swap")
	defer c.Stop(errStopped)
	cfg := c.maker.opts.Config
	for uid, want := range map[int]bool{0: true, 65534: false} {
		fd, err := unix.MemfdCreate("tried", unix.MFD_CLOEXEC)
		testkit.Must(t, err)
		testkit.Must(t, unix.Fchown(fd, uid, uid))
		tried := &Tried{}
		tried.Add(map[string]int{KindKey(cfg, cfg.Size): fd})
		got := tried.take(c.maker)
		if (got != -1) != want {
			t.Errorf("user %d: got %d, want it taken: %t", uid, got, want)
		}
		if got != -1 {
			unix.Close(got)
		}
	}
}

// The log does not repeat what Try's caller says.
func TestCasterTry(t *testing.T) {
	c := casterOf(t, "size", "8K", "type", "swap")
	var lines []string
	c.maker.opts.Error = func(line string) { lines = append(lines, line) }
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	testkit.Contains(t, c.Try(ctx), "parameter type: no swap of 8192 bytes")
	c.Stop(errStopped)
	if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "no disk can be made") }) {
		t.Errorf("got %q, want nothing in the log", lines)
	}
	hangs := casterOf(t, "size", "1M", "type", "swap")
	testkit.Program(t, "mkswap", "sleep 1000")
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	testkit.Must(t, hangs.Try(ctx))
	hangs.Stop(errStopped)
}
