// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// spare is how many bytes of a disk a filesystem may leave alone because it divides it into
// larger pieces: xfs leaves less than 16 MiB, the others less.
const spare = 16 << 20

// CheckSize returns an error if the filesystem that image is, of the built-in type fsType
// on a disk of size bytes, leaves a part of the disk unused: some programs make what their
// format can hold, and only warn. One whose size it cannot read is right.
func CheckSize(fsType string, size int64, image io.ReaderAt) error {
	head := make([]byte, 72<<10)
	if _, err := image.ReadAt(head, 0); err != nil && err != io.EOF {
		return fmt.Errorf("read filesystem: %w", err)
	}
	got, ok := sizeOf(fsType, head)
	if ok && got < size-spare {
		return &PartError{fsType, got, size}
	}
	return nil
}

// A PartError is about a filesystem of Size bytes on a disk of Disk bytes.
type PartError struct {
	Type       string
	Size, Disk int64
}

func (e *PartError) Error() string {
	return fmt.Sprintf("the %s filesystem has %d bytes, and the disk %d: give a smaller size=, or another type=", e.Type, e.Size, e.Disk)
}

// sizeOf is how many bytes the filesystem says it has that begins with head; false if it
// says nothing that is understood.
func sizeOf(fsType string, head []byte) (int64, bool) {
	le, be := binary.LittleEndian, binary.BigEndian
	super := head[1024:]
	switch fsType {
	case "ext2", "ext3", "ext4":
		blocks := uint64(le.Uint32(super[4:]))
		if le.Uint32(super[0x60:])&0x80 != 0 { // 64bit
			blocks |= uint64(le.Uint32(super[0x150:])) << 32
		}
		return product(blocks, 1024<<(le.Uint32(super[24:])&7), le.Uint16(super[56:]) == 0xef53)
	case "xfs":
		return product(be.Uint64(head[8:]), uint64(be.Uint32(head[4:])), string(head[:4]) == "XFSB")
	case "btrfs":
		b := head[64<<10:]
		return product(le.Uint64(b[112:]), 1, string(b[64:72]) == "_BHRfS_M")
	case "vfat", "fat", "msdos":
		sectors := uint64(le.Uint16(head[19:]))
		if sectors == 0 {
			sectors = uint64(le.Uint32(head[32:]))
		}
		return product(sectors, uint64(le.Uint16(head[11:])), le.Uint16(head[510:]) == 0xaa55)
	case "exfat":
		return product(le.Uint64(head[72:]), 1<<(head[108]&15), string(head[3:11]) == "EXFAT   ")
	case "ntfs":
		return product(le.Uint64(head[40:]), uint64(le.Uint16(head[11:])), string(head[3:11]) == "NTFS    ")
	case "f2fs":
		return product(le.Uint64(super[f2fsBlocks:]), 1<<(le.Uint32(super[16:])&31), le.Uint32(super) == f2fsMagic)
	case "swap":
		for page := 4 << 10; page <= 64<<10; page *= 2 {
			if bytes.HasPrefix(head[page-10:], []byte("SWAPSPACE2")) {
				return product(uint64(binary.NativeEndian.Uint32(super[4:]))+1, uint64(page), true)
			}
		}
	case "minix":
		ne := binary.NativeEndian
		switch magic := ne.Uint16(super[16:]); {
		case magic == 0x137f, magic == 0x138f:
			return product(uint64(ne.Uint16(super[2:])), 1024, true)
		case magic == 0x2468, magic == 0x2478:
			return product(uint64(ne.Uint32(super[20:])), 1024, true)
		}
		return product(uint64(ne.Uint32(super[20:])), uint64(ne.Uint16(super[28:])), ne.Uint16(super[24:]) == 0x4d5a)
	}
	return 0, false
}

// product is of blocks and their size, if it is one.
func product(blocks, size uint64, ok bool) (int64, bool) {
	n := int64(blocks * size)
	return n, ok && size > 0 && n/int64(size) == int64(blocks) && n > 0
}
