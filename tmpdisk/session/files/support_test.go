// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

var ctx = context.Background()

// options are those of a server with a directory of its own.
func options(t testing.TB) Options {
	return Options{
		Path: t.TempDir(), Boot: "this-boot", Clock: testkit.NewClockAt(time.Now()),
		Grace: func(string) time.Duration { return time.Minute },
		Debug: testkit.Quiet, LogError: func(msg string) { t.Log("error: " + msg) },
	}
}

// nothing is known.
func nothing(keep.Key, bool) bool { return false }

// begun returns a directory that was looked at.
func begun(t testing.TB, o Options) *Dir {
	t.Helper()
	d := New(o)
	if _, _, err := d.Look(nothing); err != nil {
		t.Fatal(err)
	}
	return d
}

// made makes a disk with something in block 5.
func made(t testing.TB, make kit.Maker) disk.Interface {
	t.Helper()
	d, err := make(ctx)
	if err == nil {
		err = d.Do(disk.Request{Op: disk.Write, Buf: kit.Block(5, 5), Offset: 5 * kit.BlockSize})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// created gives key a disk.
func created(t testing.TB, d *Dir, o Options, key keep.Key) *Claim {
	t.Helper()
	c, err := d.Create(ctx, key, "export", made(t, kit.Blank(o.Path, kit.Size)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waits gives key a disk, which waits since the time that is returned.
func waits(t testing.TB, d *Dir, o Options, key keep.Key) time.Time {
	t.Helper()
	if err := created(t, d, o, key).Release(); err != nil {
		t.Fatal(err)
	}
	return o.Clock.Now()
}

// wantDisk fails the test unless key has the disk that made has made.
func wantDisk(t testing.TB, d *Dir, key keep.Key) {
	t.Helper()
	c, err := d.Resume(ctx, key, true)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, kit.BlockSize)
	if err := c.Disk.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: 5 * kit.BlockSize}); err != nil {
		t.Error(err)
	}
	if conn, seq := kit.Unblock(buf); conn != 5 || seq != 5 {
		t.Errorf("block 5: got %d/%d, want 5/5", conn, seq)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

// wantLost fails the test unless the disk of key is gone for why.
func wantLost(t testing.TB, d *Dir, key keep.Key, why keep.Reason) {
	t.Helper()
	var lost *keep.LostError
	if _, err := d.Resume(ctx, key, false); !errors.As(err, &lost) || lost.Reason != why {
		t.Errorf("got %v, want it lost: %s", err, why)
	}
}
