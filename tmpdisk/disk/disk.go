// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Disk is one client's disk: a regular file without a name, or a block
// device. Requests may come from any number of goroutines at once, there is
// no lock; Close must come after the last of them. Offsets and counts are in
// bytes and need no alignment. Every error unwraps to a syscall.Errno.
type Disk struct {
	fd        int
	size      int64
	isDevice  bool
	sector    uint64 // unit of fallocate: the logical block of a device, else 1
	preferred uint32
	readOnly  bool
	debug     func(string)

	// Linked, if not "", says which name of the file stays, so that others may have it
	// as well. OnClose, if not nil, is called by Close once the file is closed. Both
	// are set before the first request.
	Linked  string
	OnClose func() error

	touched atomic.Bool
	closed  atomic.Bool

	// What the file or device was found not to do, so as not to try again, or is
	// not trusted with.
	noPunch, noZeroRange, noAllocate, noSeek atomic.Bool
}

// Interface is what a client's requests, and whoever keeps a disk for a client, need of
// it. The methods are those of Disk.
type Interface interface {
	Size() int64
	BlockSize() (minimum, preferred, maximum uint32)
	ReadOnly() bool
	FD() int
	Space() uint64
	Touched() bool
	Do(Request) error
	PRead(buf []byte, off uint64) error
	PWrite(buf []byte, off uint64) error
	Sync() error
	Close() error
}

// Open opens what the command left at path: a regular file or a block
// device, directly or by a symbolic link.
func Open(path string, debug func(string)) (*Disk, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open: %s: the command left no disk: %w", path, unix.ENOENT)
	}
	if err != nil {
		return nil, err
	}
	if what, errno := unservable(info); errno != nil {
		return nil, fmt.Errorf("open: %s: the command left %s, not a file or block device: %w", path, what, errno)
	}
	d := &Disk{debug: debug}
	if err := d.open(path); err != nil {
		return nil, err
	}
	return d.measured(path)
}

// FromFD returns the disk that is the file fd, which is open for reading and
// writing. The disk closes it, after an error too.
func FromFD(fd int, debug func(string)) (*Disk, error) {
	return (&Disk{fd: fd, debug: debug}).measured("unnamed file")
}

// FromFile returns the disk that is f, which is closed unless that fails. A lock (flock)
// of f goes with it.
func FromFile(f *os.File, debug func(string)) (*Disk, error) {
	fd, err := sys.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	d, err := FromFD(fd, debug)
	if err == nil {
		f.Close()
	}
	return d, err
}

func (d *Disk) measured(name string) (*Disk, error) {
	if err := d.measure(); err != nil {
		return nil, errors.Join(fmt.Errorf("open: %s: %w", name, err), d.Close())
	}
	return d, nil
}

// OpenReadOnly opens a regular file or block device that is only read.
func OpenReadOnly(path string, debug func(string)) (*Disk, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open: %s: %w", path, sys.Cause(err))
	}
	if what, errno := unservable(info); errno != nil {
		return nil, fmt.Errorf("open: %s: is %s, not a file or block device: %w", path, what, errno)
	}
	fd, err := sys.Openat(unix.AT_FDCWD, path, openFlags|unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("open: %s: %w", path, err)
	}
	return (&Disk{fd: fd, readOnly: true, debug: debug}).measured(path)
}

// unservable says what it is that has no size or no random access. It is to be asked
// before a file is opened: opening a FIFO would wait for a peer, and opening some
// devices does something.
func unservable(info fs.FileInfo) (what string, errno error) {
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.Type() == fs.ModeDevice:
		return "", nil
	case mode.IsDir():
		return "a directory", unix.EISDIR
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO", unix.EINVAL
	case mode&fs.ModeSocket != 0:
		return "a socket", unix.EINVAL
	case mode&fs.ModeCharDevice != 0:
		return "a character device", unix.EINVAL
	default:
		return mode.String(), unix.EINVAL
	}
}

// openFlags: O_NONBLOCK has no meaning for what may be served; it keeps the open from
// hanging should the path have become something else.
const openFlags = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

func (d *Disk) open(path string) error {
	fd, err := sys.Retry2(func() (int, error) { return unix.Open(path, openFlags|unix.O_RDWR, 0) })
	switch err {
	case unix.EROFS, unix.EACCES, unix.EPERM, unix.ETXTBSY:
		d.debug(fmt.Sprintf("open: %s: %v: serving it read-only (ignored)", path, err))
		d.readOnly = true
		fd, err = sys.Retry2(func() (int, error) { return unix.Open(path, openFlags|unix.O_RDONLY, 0) })
	}
	if err != nil {
		return fmt.Errorf("open: %s: %w", path, err)
	}
	d.fd = fd
	return nil
}

// measure finds out about the open file what the client will be told.
func (d *Disk) measure() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	d.preferred = preferredBlock(int64(st.Blksize))
	d.sector = 1
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		d.size = st.Size
		// 0, which nothing is believed of, if it cannot be known: GlusterFS does
		// not tell it of a file without a name.
		t, _ := sys.FSTypeOf(d.fd)
		d.noSeek.Store(!t.TellsHoles())
		d.noZeroRange.Store(t.Shared())
		return nil
	case unix.S_IFBLK:
	default:
		return fmt.Errorf("is not what it was a moment ago: %w", unix.EINVAL)
	}
	d.isDevice = true
	d.noSeek.Store(true) // devices have no SEEK_HOLE
	size, err := unix.Seek(d.fd, 0, unix.SEEK_END)
	if err != nil {
		return fmt.Errorf("size of the device: %w", err)
	}
	d.size = size
	sector, err := unix.IoctlGetInt(d.fd, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("block size of the device: %w", err)
	}
	d.sector = uint64(sector)
	// Root can open a read-only device for writing, which then fails.
	if ro, err := unix.IoctlGetInt(d.fd, unix.BLKROGET); err == nil && ro != 0 {
		d.readOnly = true
	}
	return nil
}

// preferredBlock is the file's own if NBD can say it: a power of two from 512
// bytes to 32 MiB.
func preferredBlock(blksize int64) uint32 {
	if blksize < 512 || blksize > 32<<20 || bits.OnesCount64(uint64(blksize)) != 1 {
		return 4096
	}
	return uint32(blksize)
}

// Size is the disk's size in bytes: what the command made, whatever size= was
// (nbdkit's .get_size).
func (d *Disk) Size() int64 { return d.size }

// FD is the descriptor of the file or device, for reads and writes that need
// nothing but the system call. It is closed by Close. Whoever uses it must have
// had one request served by Do before, see Touched.
func (d *Disk) FD() int { return d.fd }

// File returns the disk's file once more, with a descriptor of its own, which the
// caller closes. Both share one position.
func (d *Disk) File() (*os.File, error) {
	fd, err := sys.Dup(d.fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "disk"), nil
}

// Space is what the disk takes of its filesystem, in bytes; 0 of a device, and
// if it cannot be known.
func (d *Disk) Space() uint64 {
	var st unix.Stat_t
	if d.isDevice || unix.Fstat(d.fd, &st) != nil {
		return 0
	}
	return uint64(st.Blocks) * 512
}

// BlockSize gives the sizes that requests must keep to, and best have, in
// bytes (nbdkit's .block_size). Any request is taken.
func (d *Disk) BlockSize() (minimum, preferred, maximum uint32) {
	return 1, d.preferred, math.MaxUint32
}

// IsDevice reports whether it is a block device.
func (d *Disk) IsDevice() bool { return d.isDevice }

// ReadOnly reports that the command made a disk that cannot be written to
// (nbdkit's .can_write is its opposite).
func (d *Disk) ReadOnly() bool { return d.readOnly }

// Touched reports whether a client has read, written, zeroed, trimmed or
// cached any of the disk: if not, it is as good as new.
func (d *Disk) Touched() bool { return d.touched.Load() }

// touch reads before it writes: requests on several CPUs share the word.
func (d *Disk) touch() {
	if !d.touched.Load() {
		d.touched.Store(true)
	}
}

// Named reports whether it is a file that has a name now.
func (d *Disk) Named() bool {
	var st unix.Stat_t
	return !d.isDevice && unix.Fstat(d.fd, &st) == nil && st.Nlink > 0
}

// Close frees the disk and, with it, its space (nbdkit's .close). Closing
// twice is harmless.
func (d *Disk) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	err := unix.Close(d.fd)
	if err == unix.EINTR { // closed even so
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("close: %w", err)
	}
	if d.OnClose != nil {
		err = errors.Join(err, d.OnClose())
	}
	return err
}
