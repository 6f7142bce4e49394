// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package fsprobe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// unnamed is why a file without a name cannot be had in dir, or cannot be given one.
func unnamed(dir *privdir.Dir, prefix string) error {
	fd, err := sparse.Unnamed(dir.Path(), false)
	if err != nil {
		return sys.Cause(err)
	}
	defer unix.Close(fd)
	_ = sys.Flock(fd) // for sweeps, as long as it has a name
	name := privdir.TempName(prefix)
	if err := sys.LinkFD(fd, dir.FD(), name); err != nil {
		return fmt.Errorf("give it a name: %w", err)
	}
	return dir.Remove(name)
}

// unit is small, because what is allocated at the start an idle server keeps.
const unit = 8 << 10

var errStays = errors.New("the data stays")

// zeroed is why fallocate(2) cannot, by mode, make zeroes of data at off of the file.
func zeroed(f *os.File, off int64, mode uint32) error {
	buf := bytes.Repeat([]byte{0xff}, unit)
	if _, err := sys.Pwrite(int(f.Fd()), buf, off); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	err := sys.Retry(func() error { return unix.Fallocate(int(f.Fd()), mode|unix.FALLOC_FL_KEEP_SIZE, off, unit) })
	if err != nil {
		return err
	}
	if _, err := f.ReadAt(buf, off); err != nil {
		return fmt.Errorf("read: %w", sys.Cause(err))
	}
	if bytes.Count(buf, []byte{0}) != unit {
		return errStays
	}
	return nil
}

// Why holes are not found.
var (
	errAllData = errors.New("all is data")
	errLate    = errors.New("answers late, and calls new data a hole")
	errUnknown = errors.New("not known to tell the truth")
)

// The trial for holes. Where the network or a process is asked, tries take long.
const (
	holesTries    = 256
	holesAtATime  = 16 // so that little room is needed
	holesApart    = 1 << 20
	holesPatience = 50 * time.Millisecond
)

// holes is why the filesystem, of type t, is not to be asked where the holes in the
// empty file that fd is open on are. The file is empty again afterwards.
//
// A filesystem that answers late does so now and then, so that a trial in which it
// did not is no proof: only a type that is trusted can pass. One that fails so is not
// trusted any more, by nobody in this process: see [sys.DistrustHoles].
func holes(fd int, t sys.FSType, seek seeker) error {
	for tries, began := 0, time.Now(); tries < holesTries && time.Since(began) < holesPatience; tries += holesAtATime {
		if err := seekAfterWrites(fd, seek); err != nil {
			if err == errLate {
				sys.DistrustHoles(t)
			}
			return err
		}
	}
	if !t.TellsHoles() {
		return errUnknown
	}
	return nil
}

// A seeker is [sys.Seek].
type seeker func(fd int, off int64, whence int) (int64, error)

func seekAfterWrites(fd int, seek seeker) error {
	const size = holesAtATime * holesApart
	if err := truncate(fd, size); err != nil {
		return err
	}
	switch data, err := seek(fd, 0, unix.SEEK_DATA); {
	case err == nil && data < size:
		return errAllData
	case err != nil && err != unix.ENXIO:
		return err
	}
	// Not in the first byte, where all that is not known to be a hole begins.
	for off := int64(holesApart / 2); off < size; off += holesApart {
		if _, err := sys.Pwrite(fd, []byte{1}, off); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		data, err := seek(fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO || err == nil && data != off {
			return errLate
		}
		if err != nil {
			return err
		}
	}
	return truncate(fd, 0)
}

func truncate(fd int, size int64) error {
	if err := sys.Truncate(fd, size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return nil
}

// unnamedFile makes a file that has no name any more. It is locked, so that no sweep
// takes for a dead server's what stands for its name on NFS: locks is why that did not
// work as it must, or nil.
func unnamedFile(dir *privdir.Dir, prefix string) (f *os.File, locks, err error) {
	if f, locks, err = dir.Temp(prefix); err != nil {
		return nil, nil, err
	}
	if locks == nil {
		locks = excludes(f)
	}
	return f, locks, dir.Remove(filepath.Base(f.Name()))
}

var errBoth = errors.New("two can have the lock of one file at the same time")

// excludes is why the lock of f, which is locked, does not exclude another who opens
// the same file; nil if it does.
func excludes(f *os.File) error {
	other, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		return sys.Cause(err)
	}
	defer other.Close()
	switch err := sys.Flock(int(other.Fd())); {
	case err == nil:
		return errBoth
	case !errors.Is(err, unix.EWOULDBLOCK):
		return err
	}
	return nil
}

// localOptions are those with which locks are kept from other machines: of NFS, GFS2
// and OCFS2, Lustre, and SMB.
var localOptions = []string{"nolock", "local_lock=all", "local_lock=flock", "localflocks", "localflock", "nobrl"}

// localLocks is the one with which the filesystem of dir, of type t, was mounted; ""
// if none is known.
func localLocks(t sys.FSType, dir string) string {
	if !t.Shared() {
		return ""
	}
	return localOption(sys.MountOptions(dir))
}

func localOption(options string) string {
	for _, o := range strings.Split(options, ",") {
		if slices.Contains(localOptions, o) {
			return o
		}
	}
	return ""
}
