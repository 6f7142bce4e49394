// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// A disk that was given back to this server is had at once; so is one on a
// filesystem that is this machine's alone, where the lock is enough.
func TestNobodyWaitsWithoutNeed(t *testing.T) {
	for name, shared := range map[string]bool{"given back here": true, "killed, and not shared": false} {
		t.Run(name, func(t *testing.T) {
			o, _ := leasedOptions(t)
			o.Shared = shared
			a, b := started(t, o), started(t, o)
			c := written(t, a, keyA)
			if shared {
				a.Close(c)
				b = a
			} else {
				dies(a)
			}
			wantResumed(t, b, keyA) // hangs if it waits: no time passes
		})
	}
}

// What another server gave back is had when no cache can be from before that.
func TestCachesAreWaitedFor(t *testing.T) {
	now, a, b, c := twoLeased(t)
	a.Close(c)
	impatient(t, b)
	c = taken(t, b, now)
	wantBlock(t, c, 1, 1, 0)
	b.Close(c)
}

// A client that does not wait for long gets in after all, if it comes again. Not
// so on a third server, which does not know since when.
func TestImpatientClient(t *testing.T) {
	now, a, b, c := twoLeased(t)
	third := started(t, a.opts)
	cutOff(t, c)
	for waited := time.Duration(0); waited < keep.LeaseWait; waited += 5 * time.Second {
		impatient(t, b)
		now.Pass(5 * time.Second)
	}
	waits := false
	d := beginOpen(third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("the third server does not wait")
	}
	third.Close(d)
	d = taken(t, b, now)
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
	a.Close(c)
}

func TestImpatientClientComesAgain(t *testing.T) {
	now, a, b, c := twoLeased(t)
	cutOff(t, c)
	impatient(t, b)
	now.Pass(keep.LeaseWait)
	wantResumed(t, b, keyA) // hangs if it waits once more
	a.Close(c)
}

// A session whose server a sweep has found dead, while it was cut off, is not taken for
// one that was given back.
func TestOrphanIsNotSettled(t *testing.T) {
	now, a, c := leased(t)
	started(t, a.opts)
	c.session.claim.Lease.End() // a hangs, and does not look
	cutOff(t, c)
	now.Pass(time.Minute) // the other finds out
	if r := kit.RecordIn(t, a.opts.Path, keyA); !r.Connected || !r.Orphaned {
		t.Errorf("got record %+v, want an orphan's", r)
	}
	third := started(t, a.opts)
	waits := false
	d := beginOpen(third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("nobody waits for the server that was cut off")
	}
	wantBlock(t, d, 1, 1, 0)
	third.Close(d)
	a.Close(c)
}

// A server that was found dead, and is not, takes that back when it looks.
func TestOrphanComesBack(t *testing.T) {
	now, a, c := leased(t)
	cutOff(t, c)
	started(t, a.opts)
	if r := kit.RecordIn(t, a.opts.Path, keyA); !r.Orphaned {
		t.Fatalf("got record %+v, want an orphan's", r)
	}
	for range 10 {
		now.Pass(minute.Grace / 3)
	}
	if r := kit.RecordIn(t, a.opts.Path, keyA); r.Orphaned || !r.Connected || r.Lost != "" {
		t.Errorf("got record %+v, want it connected", r)
	}
	a.Close(c)
	wantResumed(t, a, keyA)
}

// What the old server's kernel had and could not write lands in a file that nobody
// has any more.
func TestStuckWrite(t *testing.T) {
	for name, mkfs := range map[string][]string{"here": nil, "xfs": {"mkfs.xfs", "-q"}, "btrfs": {"mkfs.btrfs", "-q"}} {
		t.Run(name, func(t *testing.T) {
			o, now := leasedOptions(t)
			if mkfs != nil {
				o.Path = kit.Mount(t, "-o", "loop", kit.Image(t, mkfs...))
			}
			a, b := started(t, o), started(t, o)
			c := written(t, a, keyA)
			stuck, err := os.OpenFile(diskPath(a), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer stuck.Close()
			cutOff(t, c)
			d := taken(t, b, now)
			if _, err := unix.Pwrite(int(stuck.Fd()), kit.Block(9, 9), 0); err != nil {
				t.Fatal(err)
			}
			wantBlock(t, d, 1, 1, 0)
			put(t, d, 2, 1, 1)
			b.Close(d)
			a.Close(c)
			wantDisks(t, a, keys{keyA})
			d = resume(t, b, keyA)
			wantBlock(t, d, 1, 1, 0)
			wantBlock(t, d, 2, 1, 1)
			b.Close(d)
		})
	}
}

// Where there is no room for a copy the client gets its disk all the same, and the
// log says so.
func TestNoRoomForACopy(t *testing.T) {
	o, now := leasedOptions(t)
	o.Path = kit.Mount(t, "-t", "tmpfs", "-o", "size=1536k", "tmpdisk-test")
	said := make(chan string, 10)
	o.LogError = func(line string) { said <- line }
	a, b := started(t, o), started(t, o)
	c := begin(t, a, keyA)
	data := bytes.Repeat([]byte{1}, kit.Size)
	if err := c.PWrite(data, 0, false); err != nil {
		t.Fatal(err)
	}
	cutOff(t, c)
	d := taken(t, b, now)
	got := make([]byte, kit.Size)
	if err := d.PRead(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got another content, or %v", err)
	}
	for line := ""; !strings.Contains(line, "no room for a copy"); {
		select {
		case line = <-said: // or that the other server's connections are cut off
		case <-time.After(2 * time.Minute):
			t.Fatal("the log does not say that there was no room for a copy")
		}
	}
	b.Close(d)
	a.Close(c)
	wantDisks(t, a, keys{keyA})
}
