// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

func tmpfs(t *testing.T, size string) string {
	t.Helper()
	return kit.Mount(t, "-t", "tmpfs", "-o", "size="+size, "tmpdisk-test")
}

// removed is a disk whose file had a name, which cannot be given back to it.
func removed(dir string) kit.Maker {
	return func(context.Context) (disk.Interface, error) {
		path := filepath.Join(dir, "disk")
		if err := os.WriteFile(path, make([]byte, kit.Size), 0o666); err != nil {
			return nil, err
		}
		defer os.Remove(path)
		return disk.Open(path, testkit.Quiet)
	}
}

// anothers is a disk whose file belongs to the user that a command ran as.
func anothers(t *testing.T, dir string) kit.Maker {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return func(ctx context.Context) (disk.Interface, error) {
		d, err := kit.Blank(dir, kit.Size)(ctx)
		if err == nil {
			err = unix.Fchown(d.FD(), 12345, 12345)
		}
		return d, err
	}
}

// However a fresh disk gets into the directory, what is on it comes along.
func TestCreate(t *testing.T) {
	o := options(t)
	tests := []struct {
		name  string
		make  func(t *testing.T) kit.Maker
		moves bool // it stays the same file
	}{
		{"unnamed, here", func(t *testing.T) kit.Maker { return kit.Blank(o.Path, kit.Size) }, true},
		{"removed, here", func(t *testing.T) kit.Maker { return removed(o.Path) }, false},
		{"another user's, here", func(t *testing.T) kit.Maker { return anothers(t, o.Path) }, false},
		{"unnamed, on a tmpfs", func(t *testing.T) kit.Maker { return kit.Blank(tmpfs(t, "4M"), kit.Size) }, false},
		{"removed, on a tmpfs", func(t *testing.T) kit.Maker { return removed(tmpfs(t, "4M")) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fresh := made(t, tt.make(t))
			d, key := begun(t, o), keep.NewKey("create", tt.name, "")
			c, err := d.Create(ctx, key, "", fresh)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Disk == fresh; got != tt.moves {
				t.Errorf("got the same file %v, want %v", got, tt.moves)
			}
			if c.Used {
				t.Error("got a fresh disk that clients know")
			}
			c.Close() // as kill -9 does
			wantDisk(t, begun(t, o), key)
			info, err := os.Stat(kit.Path(o.Path, kit.DiskOf(key)))
			if err != nil || info.Mode() != 0o600 || info.Size() != kit.Size {
				t.Errorf("got %v, %v, want mode 0600 and %d bytes", info, err, kit.Size)
			}
		})
	}
}

// A disk that is copied from another filesystem is written in place, as one that was made
// there: its client needs no room for what it has written already.
func TestCreateOnBtrfs(t *testing.T) {
	o := options(t)
	o.Path = kit.Mount(t, "-o", "loop", kit.Image(t, "mkfs.btrfs", "-qf"))
	d := begun(t, o)
	c, err := d.Create(ctx, kit.A, "", made(t, kit.Blank(tmpfs(t, "4M"), kit.Size)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const noCow = 0x00800000
	if flags, err := unix.IoctlGetUint32(c.Disk.FD(), unix.FS_IOC_GETFLAGS); err != nil || flags&noCow == 0 {
		t.Errorf("got flags %#x, %v, want it written in place", flags, err)
	}
}

// A filesystem that is full takes no session, and nothing is left of it there.
func TestCreateWhereItIsFull(t *testing.T) {
	o := options(t)
	o.Path = tmpfs(t, "256k")
	fresh := made(t, kit.Blank(t.TempDir(), kit.Size))
	if err := fresh.Do(disk.Request{Op: disk.Write, Buf: []byte(strings.Repeat("x", kit.Size/2))}); err != nil {
		t.Fatal(err)
	}
	d := begun(t, o)
	_, err := d.Create(ctx, kit.A, "", fresh)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	testkit.Contains(t, err, "session-dir", o.Path)
	kit.WantFiles(t, o.Path)
	c, err := d.Create(ctx, kit.A, "", made(t, kit.Blank(t.TempDir(), 4096)))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestCreateOfDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	backing := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(backing, make([]byte, kit.Size), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", backing).Output()
	if err != nil {
		t.Skipf("needs losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "--detach", device).Run()
	fresh, err := disk.Open(device, testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	_, err = begun(t, o).Create(ctx, kit.A, "", fresh)
	testkit.Contains(t, err, "session-dir", "block device", "have it make a file")
	kit.WantFiles(t, o.Path)
}

// A server that looks for a session while another one makes it must not take the
// record for one whose disk is gone: the directory's lock tells.
func TestLookWhileAnotherCreates(t *testing.T) {
	o := options(t)
	d, other := begun(t, o), begun(t, o)
	created(t, other, o, kit.A)
	path := func(name string) string { return kit.Path(o.Path, name) }
	if err := os.Rename(path(kit.DiskOf(kit.A)), path("disk")); err != nil { // it has no name yet
		t.Fatal(err)
	}
	unlock, ok := kit.Lock(t, path(""))
	if !ok {
		t.Fatal("got no lock")
	}
	found := make(chan error)
	go func() {
		_, err := d.Resume(ctx, kit.A, false)
		found <- err
	}()
	time.Sleep(50 * time.Millisecond) // for one that does not wait
	if err := os.Rename(path("disk"), path(kit.DiskOf(kit.A))); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-found; !errors.Is(err, keep.ErrElsewhere) {
		t.Errorf("got %v, want it elsewhere", err)
	}
	kit.WantFiles(t, o.Path, kit.DiskOf(kit.A), kit.RecordOf(kit.A))
}

// Another server that has the directory's lock, and is stopped, stops no client for good:
// its own patience ends, or the server's.
func TestLockThatIsHeld(t *testing.T) {
	for name, shared := range map[string]bool{"here": false, "on other machines as well": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Shared = shared
			d := begun(t, o)
			waits(t, d, o, kit.B)
			file := ""
			if shared {
				file = "lock"
			}
			unlock, ok := kit.Lock(t, kit.Path(o.Path, file))
			if !ok {
				t.Fatal("got no lock")
			}
			for want, ctx := range map[error]context.Context{unix.ETIMEDOUT: short(t), unix.EBUSY: ctx} {
				_, err := d.Create(ctx, kit.A, "", made(t, kit.Blank(o.Path, kit.Size)))
				if !errors.Is(err, want) && (want == unix.EBUSY || !errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			// Whoever waits behind somebody of this server is not stuck either.
			first := make(chan error)
			go func() {
				_, err := d.Forget(ctx, kit.C, time.Time{})
				first <- err
			}()
			time.Sleep(10 * time.Millisecond)
			if _, err := d.Forget(short(t), kit.C, time.Time{}); err == nil {
				t.Error("a note is forgotten without the lock")
			}
			wantDisk(t, d, kit.B) // no lock is needed for what is there
			unlock()
			if err := <-first; err != nil {
				t.Errorf("with the lock: %v", err)
			}
			created(t, d, o, kit.A).Close()
			want := []string{kit.DiskOf(kit.A), kit.RecordOf(kit.A), kit.DiskOf(kit.B), kit.RecordOf(kit.B)}
			if shared {
				want = append(want, "lock")
			}
			kit.WantFiles(t, o.Path, want...)
		})
	}
}

// short is a context that ends soon.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
