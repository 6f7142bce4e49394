// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Base is an image that any number of disks stand on, open for reading. It is closed
// when neither whoever opened it nor any disk needs it. Its methods may be called from
// any number of goroutines.
type Base struct {
	image    *disk.Disk
	path     string      // "" if it never had a name
	kind     string      // "" if its content may change
	opened   unix.Stat_t // what it was then
	identity string
	local    bool
	users    atomic.Int64
	unlinked atomic.Bool
	failed   func(error)
}

// Open opens the regular file or block device at path. The caller calls Release.
// failed is called, on the goroutine of a request, for each read that fails.
func Open(path string, debug func(string), failed func(error)) (*Base, error) {
	image, err := disk.OpenReadOnly(path, debug)
	if err != nil {
		return nil, err
	}
	return newBase(image, path, "", failed)
}

// Own is Open for a file of ours, whose content never changes: kind says what it is, in
// a word. The base takes it over, after an error too. path is "" if it has no name.
func Own(image *disk.Disk, path, kind string) (*Base, error) {
	return newBase(image, path, kind, func(error) {})
}

// ErrBase says that a request failed because the base could not be read: nothing of the
// client's own is lost.
var ErrBase = errors.New("base")

// ErrOther says that a file or device is not the base that it was.
var ErrOther = errors.New("not the base that it was")

// Reopen opens the base at path that had an identity before. The error wraps [ErrOther] if
// that is not what is there now.
func Reopen(path, identity string, debug func(string), failed func(error)) (*Base, error) {
	image, err := disk.OpenReadOnly(path, debug)
	if err != nil {
		return nil, err
	}
	kind, _, _ := strings.Cut(identity, " inode ")
	if kind == changeable || image.IsDevice() {
		kind = ""
	}
	b, err := newBase(image, path, kind, failed)
	if err == nil && b.identity != identity {
		err = errors.Join(fmt.Errorf("it was %s, and is %s: %w", identity, b.identity, ErrOther), b.Release())
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// changeable is the kind of a file that may change.
const changeable = "file"

func newBase(image *disk.Disk, path, kind string, failed func(error)) (*Base, error) {
	b := &Base{image: image, path: path, kind: kind, failed: failed}
	if err := unix.Fstat(image.FD(), &b.opened); err != nil {
		return nil, errors.Join(fmt.Errorf("fstat: %w", err), image.Close())
	}
	var err error
	if b.identity, err = b.look(); err != nil {
		return nil, errors.Join(err, image.Close())
	}
	t, err := sys.FSTypeOf(image.FD())
	b.local = image.IsDevice() || err == nil && !t.Shared()
	b.users.Store(1)
	return b, nil
}

// Size is that of the image, in bytes, when it was opened.
func (b *Base) Size() int64 { return b.image.Size() }

// Space is how many bytes the image takes where it is.
func (b *Base) Space() uint64 { return b.image.Space() }

// FD is the descriptor of the image, which is closed when nobody needs the base.
func (b *Base) FD() int { return b.image.FD() }

// Local reports whether the base is known to be this machine's own, and not on a filesystem
// in user space or on the network.
func (b *Base) Local() bool { return b.local }

// Path is where the base was found; "" if it never had a name.
func (b *Base) Path() string { return b.path }

// Identity is what the base was when it was opened. That of another file differs, and
// that of a file which has been written to, as far as its time of modification shows
// that. A device is known by its size and by what is at its beginning and at its end.
func (b *Base) Identity() string { return b.identity }

// Changed returns an error if the file is not any more what it was when it was opened. Of
// a device only its size is known.
func (b *Base) Changed() error {
	if b.image.IsDevice() { // the rest would have to be read
		size, err := sys.Seek(b.image.FD(), 0, unix.SEEK_END)
		if err == nil && size != b.Size() {
			err = fmt.Errorf("it had %d bytes, and has %d", b.Size(), size)
		}
		return err
	}
	now, err := b.look()
	if err == nil && now != b.identity {
		err = fmt.Errorf("it was %s, and is %s", b.identity, now)
	}
	return err
}

// Is reports whether path leads to the file or device that the base is, and IsOpenOn
// whether fd is open on it.
func (b *Base) Is(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && b.is(&st)
}

func (b *Base) IsOpenOn(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && b.is(&st)
}

func (b *Base) is(st *unix.Stat_t) bool {
	own := &b.opened
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return b.image.IsDevice() && st.Rdev == own.Rdev
	}
	return st.Dev == own.Dev && st.Ino == own.Ino
}

// Lock takes the lock (flock) of the file, for as long as b is open, which tells others that
// it is needed.
func (b *Base) Lock() error { return sys.Flock(b.image.FD()) }

// Link gives the file of the base one more name, in the directory dirfd. The error wraps
// EXDEV, EPERM or the like where that cannot be.
func (b *Base) Link(dirfd int, name string) error {
	if err := sys.LinkFD(b.image.FD(), dirfd, name); err != nil {
		return fmt.Errorf("link base: %w", err)
	}
	return nil
}

// Unlinked notes that the file can have no other name, and reports whether that is news.
func (b *Base) Unlinked() (news bool) { return !b.unlinked.Swap(true) }

// look returns the identity as it is now.
func (b *Base) look() (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(b.image.FD(), &st); err != nil {
		return "", fmt.Errorf("fstat: %w", err)
	}
	switch {
	case b.image.IsDevice():
		return b.lookAtDevice()
	case b.kind != "": // its times are somebody's notes
		// When it was made tells it from a later one that has its inode.
		var x unix.Statx_t
		if err := unix.Statx(b.image.FD(), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &x); err != nil {
			return "", fmt.Errorf("statx: %w", err)
		}
		return fmt.Sprintf("%s inode %d size %d made %d.%09d", b.kind, st.Ino, st.Size, x.Btime.Sec, x.Btime.Nsec), nil
	}
	// Not the time of the last change of the inode: a link that a session makes changes
	// that. Nor the device's number, which another boot or machine may have another of.
	return fmt.Sprintf(changeable+" inode %d size %d mtime %d.%09d", st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec), nil
}

// isShort reports whether the file is shorter than it was when it was opened.
func (b *Base) isShort() bool {
	var st unix.Stat_t
	return !b.image.IsDevice() && unix.Fstat(b.image.FD(), &st) == nil && st.Size < b.Size()
}

// lookAtDevice reads where partition tables and file systems have what tells them apart.
func (b *Base) lookAtDevice() (string, error) {
	size := b.Size()
	sum, buf := sha256.New(), make([]byte, min(size, 128<<10))
	for _, off := range []int64{0, size - int64(len(buf))} {
		if err := b.image.PRead(buf, uint64(off)); err != nil {
			return "", err
		}
		sum.Write(buf)
	}
	return fmt.Sprintf("device size %d sum %x", size, sum.Sum(nil)[:16]), nil
}

// Hold keeps b open for one more user, who calls Release.
func (b *Base) Hold() { b.users.Add(1) }

// Release says that the caller does not need b any more.
func (b *Base) Release() error {
	if b.users.Add(-1) == 0 {
		return b.image.Close()
	}
	return nil
}

// read fills buf from off on, and with zeroes behind the end of the base.
func (b *Base) read(buf []byte, off uint64) error {
	n := b.within(off, uint64(len(buf)))
	if n > 0 {
		if err := b.image.PRead(buf[:n], off); err != nil {
			err = fmt.Errorf("%w: %w", ErrBase, err)
			b.failed(err)
			return err
		}
	}
	clear(buf[n:])
	return nil
}

// within is how many of count bytes from off on the base has.
func (b *Base) within(off, count uint64) uint64 {
	if size := uint64(b.Size()); off < size {
		return min(count, size-off)
	}
	return 0
}
