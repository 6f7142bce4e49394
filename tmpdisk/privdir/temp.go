// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// The protocol of temporary files, which is the same wherever a file of ours must be
// there as a whole or not at all:
//
// Its name is PREFIX.tmp.RANDOM, in the directory in which it is to stay, because
// rename(2) and link(2) do not leave a filesystem. RANDOM is a [sys.RandomName], so
// that no two makers meet. PREFIX says whose it is: a sweep looks only at names with
// a prefix that its own kind of server uses.
//
// Its maker makes it with O_EXCL and mode 0600, and has its lock (flock) for as long
// as it has that name. The kernel drops the lock when the maker dies, however it
// dies. Only whoever has the lock may remove the file: the maker, or a sweep, which
// has shown by taking the lock that the maker is dead. Whoever has taken the final name
// itself over from another server need not ask (session): it removes the temporary files
// of that key, and their makers find nothing to rename.
//
// A sweep may find the file before the maker has locked it. Then the maker cannot
// take the lock (EWOULDBLOCK), or takes that of a file which has no name any more.
// It makes another file. A sweep in turn may find that the name is gone before it
// opens the file (ENOENT; a network filesystem may say ESTALE), or that the file
// got its final name before it was locked. It leaves that alone.
//
// Where a filesystem has no locks nobody can sweep. What a maker leaves there that was
// killed stays.
//
// The maker renames the file, which replaces what has the final name. A maker that
// must replace nothing links it instead, and EEXIST says that another was faster.
// What must outlast a crash of the machine is synced before it gets the final name,
// and its directory after that.
//
// A filesystem in user space or on the network gives a removed file that is still open
// another name, see [sys.StandsForRemoved]. A sweep treats it like a temporary file.
// So whoever opens a file that another may replace or remove, and has no lock of it,
// takes a shared one. NFS refuses to remove what this machine has open (EBUSY).

const tempMark = ".tmp."

// TempName returns a new name for a temporary file. [Dir.Temp] makes one; this is for
// a file that is linked, and that its maker has locked before.
func TempName(prefix string) string { return prefix + tempMark + sys.RandomName() }

// SplitTemp returns the prefix of a temporary file's name. ok is false for other names.
func SplitTemp(name string) (prefix string, ok bool) {
	i := strings.LastIndex(name, tempMark)
	if i < 0 || !sys.IsRandomName(name[i+len(tempMark):]) {
		return "", false
	}
	return name[:i], true
}

// TempKind is what SplitName calls the kind of a temporary file.
const TempKind = "tmp"

// SplitName splits the name of a file that belongs to a key of 64 hexadecimal digits:
// KEY, KEY.KIND, or that of a temporary file with the prefix KEY. kind is "" for the
// first of these. ok is false for other names.
func SplitName(name string) (key, kind string, ok bool) {
	if key, ok = SplitTemp(name); ok {
		return key, TempKind, sys.IsHex(key, 64)
	}
	key, kind, dot := strings.Cut(name, ".")
	return key, kind, sys.IsHex(key, 64) && kind != TempKind && dot == (kind != "")
}

// Temp makes a temporary file, open for reading and writing, and locks it. unlocked is
// why that was not possible: nobody can sweep the file then. Its name is the base of
// f.Name.
func (d *Dir) Temp(prefix string) (f *os.File, unlocked, err error) {
	for range 100 {
		name := TempName(prefix)
		f, err := d.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		if err != nil {
			return nil, nil, err
		}
		unlocked := sys.Flock(int(f.Fd()))
		if !errors.Is(unlocked, unix.EWOULDBLOCK) && sys.SameFile(d.fd, name, int(f.Fd())) {
			return f, unlocked, nil
		}
		f.Close() // a sweep was faster
	}
	return nil, nil, fmt.Errorf("%smake a temporary file: %s: %w", d.prefix, d.path, ErrReplaced)
}

// Publish renames f, of Temp, to name. With keep, the file and its name outlast a crash
// of the machine. f stays open, and locked. On an error the temporary file is gone,
// unless only the directory could not be synced.
func (d *Dir) Publish(f *os.File, name string, keep bool) error {
	if keep {
		if err := f.Sync(); err != nil {
			d.Discard(f)
			return fmt.Errorf("sync: %w", err)
		}
	}
	if err := unix.Renameat(d.fd, filepath.Base(f.Name()), d.fd, name); err != nil {
		d.Discard(f)
		return fmt.Errorf("rename: %s: %w", d.Join(name), err)
	}
	if keep {
		return d.Sync()
	}
	return nil
}

// Discard removes f, of Temp, which was not published. f stays open. If it fails, the
// next sweep removes the file.
func (d *Dir) Discard(f *os.File) { unix.Unlinkat(d.fd, filepath.Base(f.Name()), 0) }

// Sync makes the names in d outlast a crash of the machine.
func (d *Dir) Sync() error {
	if err := sys.Retry(func() error { return unix.Fsync(d.fd) }); err != nil {
		return fmt.Errorf("sync: %s: %w", d.path, err)
	}
	return nil
}

// SweepTemp removes a temporary file whose maker is dead, or what stands for a removed
// file that nobody has open. That somebody has it is no error. Whether name is one of
// these is the caller's to know.
func (d *Dir) SweepTemp(name string) error {
	f, err := d.Lock(name, unix.O_RDWR)
	if err == nil {
		defer f.Close()
		err = d.Remove(name)
	}
	for _, harmless := range []error{unix.ENOENT, unix.ESTALE, unix.EWOULDBLOCK, unix.EBUSY, ErrReplaced} {
		if errors.Is(err, harmless) {
			return nil
		}
	}
	return err
}

// UntilFree calls try until it does not fail because somebody has what is locked
// (EWOULDBLOCK, [ErrReplaced]), or patience is over, or ctx ends. It returns the error of
// the last try, or ctx's.
func UntilFree(ctx context.Context, patience time.Duration, try func() error) error {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for until := time.Now().Add(patience); ; {
		err := try()
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, ErrReplaced) || !time.Now().Before(until) {
			return err
		}
		select {
		case <-time.After(pause.Next()):
		case <-ctx.Done():
			return fmt.Errorf("wait for a lock: %w", sys.ContextError(ctx))
		}
	}
}
