// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// FSType is the type of a filesystem, by the number that statfs(2) has for it.
type FSType uint32

// Those that golang.org/x/sys/unix does not have.
const (
	bcachefsMagic = 0xca451a4e
	gfs2Magic     = 0x01161970
	lustreMagic   = 0x0bd00bd0
	zfsMagic      = 0x2fc12fc1
)

// fsTypes is what is known of each.
var fsTypes = map[FSType]struct {
	name string
	// own: only this machine has it mounted.
	own bool
	// tellsHoles: see TellsHoles.
	tellsHoles bool
}{
	unix.EXT4_SUPER_MAGIC:      {"ext2/ext3/ext4", true, true}, // one number for the three
	unix.XFS_SUPER_MAGIC:       {"xfs", true, true},
	unix.BTRFS_SUPER_MAGIC:     {"btrfs", true, true},
	unix.F2FS_SUPER_MAGIC:      {"f2fs", true, true},
	unix.TMPFS_MAGIC:           {"tmpfs", true, true},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", true, false}, // it depends on what is below, which cannot be known
	zfsMagic:                   {"ZFS", true, false},     // it had errors in it for years
	bcachefsMagic:              {"bcachefs", true, false},
	unix.RAMFS_MAGIC:           {"ramfs", true, false},
	unix.MSDOS_SUPER_MAGIC:     {"vfat", true, false},
	unix.EXFAT_SUPER_MAGIC:     {"exfat", true, false},

	unix.FUSE_SUPER_MAGIC:  {name: "FUSE"}, // GlusterFS and many others
	unix.NFS_SUPER_MAGIC:   {name: "NFS"},
	unix.CEPH_SUPER_MAGIC:  {name: "CephFS"},
	gfs2Magic:              {name: "GFS2"},
	unix.OCFS2_SUPER_MAGIC: {name: "OCFS2"},
	unix.CIFS_SUPER_MAGIC:  {name: "SMB/CIFS"},
	unix.SMB2_SUPER_MAGIC:  {name: "SMB/CIFS"},
	unix.SMB_SUPER_MAGIC:   {name: "SMB/CIFS"},
	unix.V9FS_MAGIC:        {name: "9p"},
	unix.AFS_SUPER_MAGIC:   {name: "AFS"},
	unix.AFS_FS_MAGIC:      {name: "AFS"},
	lustreMagic:            {name: "Lustre"},
}

// FSTypeOf returns the type of the filesystem of the file that fd is open on.
// GlusterFS knows it only of a file that has a name.
func FSTypeOf(fd int) (FSType, error) {
	var st unix.Statfs_t
	if err := Retry(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return FSType(st.Type), nil
}

// String is the usual name, or the number in hexadecimal digits.
func (t FSType) String() string {
	if known, ok := fsTypes[t]; ok {
		return known.name
	}
	return fmt.Sprintf("%#x", uint32(t))
}

// Shared is whether other machines may have the same files: unless it is known
// that they have not. It is true of the zero FSType.
func (t FSType) Shared() bool { return !fsTypes[t].own }

// TellsHoles is whether the filesystem is known to see, when asked for data or a
// hole by lseek(2), what was written a moment before. Where writes are kept back
// in user space (GlusterFS) such data is now and then taken for a hole, which
// whoever copies the file by the answer loses. Others may tell the truth as well.
func (t FSType) TellsHoles() bool {
	_, wrong := distrusted.Load(t)
	return fsTypes[t].tellsHoles && !wrong
}

var distrusted sync.Map // of FSType

// DistrustHoles makes TellsHoles false of t from now on. By type, and not by file or
// directory: what answers wrongly is the kernel's code, which all of t have in common.
func DistrustHoles(t FSType) { distrusted.Store(t, true) }

// SettleHoles makes what lseek(2) says about the file true on other filesystems
// too, as long as nobody writes to it: by flushing it.
func SettleHoles(fd int) error {
	if t, err := FSTypeOf(fd); err == nil && t.TellsHoles() {
		return nil
	}
	if err := Fdatasync(fd); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// NextData returns where the next data of the file that fd is open on begins, at
// off or after it, and where it ends; both are size, the file's, if there is
// none. Where the filesystem does not know, all is data.
func NextData(fd int, off, size int64) (from, to int64, err error) {
	from, err = Seek(fd, off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return off, size, nil
	case err != nil:
		return 0, 0, fmt.Errorf("find data: offset %d: %w", off, err)
	}
	to, err = Seek(fd, from, unix.SEEK_HOLE)
	if err != nil {
		return 0, 0, fmt.Errorf("find hole: offset %d: %w", from, err)
	}
	return min(from, size), min(to, size), nil
}
