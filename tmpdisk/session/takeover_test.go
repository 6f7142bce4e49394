// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// A disk that was given back to this server is had at once; so is one on a
// filesystem that is this machine's alone, where the lock is enough.
func TestNobodyWaitsWithoutNeed(t *testing.T) {
	for name, shared := range map[string]bool{"given back here": true, "killed, and not shared": false} {
		t.Run(name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			o := leasedOptions(t, now, parent)
			o.shared = shared
			a, b := started(t, o), started(t, o)
			c := open(t, a, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			if shared {
				a.Close(c)
				b = a
			} else {
				dies(a)
			}
			c = open(t, b, keyA, none) // hangs if it waits: no time passes
			wantBlock(t, c, 1, 1, 0)
			b.Close(c)
		})
	}
}

// What another server gave back is had when no cache can be from before that.
func TestCachesAreWaitedFor(t *testing.T) {
	now, _, a, b, c := twoLeased(t)
	a.Close(c)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Open(ctx, keyA, "", minute, none); err == nil {
		t.Error("the client is let in at once")
	}
	c = beginOpen(context.Background(), b).wait(t, now, nothing)
	wantBlock(t, c, 1, 1, 0)
	b.Close(c)
}

// A client that does not wait for long gets in after all, if it comes again. Not
// so on a third server, which does not know since when.
func TestImpatientClient(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b, third := started(t, o), started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	cutOff(t, c)
	for waited := time.Duration(0); waited < leaseWait; waited += 5 * time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err := b.Open(ctx, keyA, "", minute, none); err == nil {
			t.Fatalf("the client is let in after %v", waited)
		}
		cancel()
		now.pass(5 * time.Second)
	}
	waits := false
	d := beginOpen(context.Background(), third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("the third server does not wait")
	}
	third.Close(d)
	d = beginOpen(context.Background(), b).wait(t, now, nothing)
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
	a.Close(c)
}

func TestImpatientClientComesAgain(t *testing.T) {
	now, _, a, b, c := twoLeased(t)
	cutOff(t, c)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Open(ctx, keyA, "", minute, none); err == nil {
		t.Fatal("the client is let in at once")
	}
	now.pass(leaseWait)
	d := open(t, b, keyA, none) // hangs if it waits once more
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
	a.Close(c)
}

// A session that a sweep has looked after while its server was cut off is not
// taken for one that was given back.
func TestBuriedIsNotSettled(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a := started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	b := started(t, o)
	c.session.held.lease.end() // a hangs, and does not look
	cutOff(t, c)
	now.pass(2 * time.Minute) // b buries it
	change(t, parent, keyA, func(r *record) {
		if r.Connected || !r.Unsettled {
			t.Errorf("got record %+v, want it given back, and unsettled", *r)
		}
	})
	third := started(t, o)
	waits := false
	d := beginOpen(context.Background(), third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("nobody waits for the server that was cut off")
	}
	wantBlock(t, d, 1, 1, 0)
	third.Close(d)
	a.Close(c)
	b.Stop()
}

// What the old server's kernel had and could not write lands in a file that nobody
// has any more.
func TestStuckWrite(t *testing.T) {
	t.Run("copied", func(t *testing.T) { stuckWrite(t, t.TempDir()) })
	for _, fs := range []string{"xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("needs root to mount a filesystem")
			}
			image := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, 400<<20); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkfs."+fs, "-q", image).CombinedOutput(); err != nil {
				t.Skipf("needs mkfs.%s: %v: %s", fs, err, out)
			}
			stuckWrite(t, mountImage(t, image, ""))
		})
	}
}

func stuckWrite(t *testing.T, parent string) {
	now := newClock()
	o := leasedOptions(t, now, parent)
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	stuck, err := unix.Open(inParent(parent, diskOf(keyA)), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	cutOff(t, c)
	d := beginOpen(context.Background(), b).wait(t, now, nothing)
	if _, err := unix.Pwrite(stuck, block(9, 9), 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(stuck)
	wantBlock(t, d, 1, 1, 0)
	put(t, d, 2, 1, 1)
	b.Close(d)
	a.Close(c)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
	d = open(t, b, keyA, none)
	wantBlock(t, d, 1, 1, 0)
	wantBlock(t, d, 2, 1, 1)
	b.Close(d)
	closeKeeper(a)
	closeKeeper(b)
}

// Where there is no room for a copy the client gets its disk all the same, and the
// log says so.
func TestNoRoomForACopy(t *testing.T) {
	now, parent := newClock(), testkit.Tmpfs(t, "1536k")
	o := leasedOptions(t, now, parent)
	said := make(chan string, 10)
	o.LogError = func(line string) { said <- line }
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	data := bytes.Repeat([]byte{1}, testSize)
	if err := c.PWrite(data, 0, false); err != nil {
		t.Fatal(err)
	}
	cutOff(t, c)
	d := beginOpen(context.Background(), b).wait(t, now, nothing)
	got := make([]byte, testSize)
	if err := d.PRead(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got another content, or %v", err)
	}
	for line := ""; !strings.Contains(line, "no room for a copy"); {
		select {
		case line = <-said: // or that the other server's connections are cut off
		case <-time.After(10 * time.Second):
			t.Fatal("the log does not say that there was no room for a copy")
		}
	}
	b.Close(d)
	a.Close(c)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
	closeKeeper(a)
	closeKeeper(b)
}
