// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
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
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
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

// What the old server's kernel had and could not write lands in a file that
// nobody has any more, where the filesystem can clone.
func TestStuckWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a filesystem")
	}
	for _, fs := range []string{"xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
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
			now, parent := newClock(), mountImage(t, image, "")
			o := leasedOptions(t, now, parent)
			a, b := started(t, o), started(t, o)
			c := open(t, a, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			stuck := openFile(t, inParent(parent, diskOf(keyA)))
			cutOff(t, c)
			d := beginOpen(context.Background(), b).wait(t, now, nothing)
			if _, err := unix.Pwrite(stuck, block(9, 9), 0); err != nil {
				t.Fatal(err)
			}
			wantBlock(t, d, 1, 1, 0)
			put(t, d, 2, 1, 1)
			b.Close(d)
			a.Close(c)
			wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
			d = open(t, b, keyA, none)
			wantBlock(t, d, 1, 1, 0)
			wantBlock(t, d, 2, 1, 1)
			b.Close(d)
			unix.Close(stuck)
			closeKeeper(a)
			closeKeeper(b)
		})
	}
}
