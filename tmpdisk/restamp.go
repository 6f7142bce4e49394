// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"crypto/rand"
	"encoding/hex"

	"nbdkit-tmpdisk-plugin/shellquote"
)

// A restamp gives a clone of a filesystem the UUID or serial number that a
// fresh one would have, so that two can be mounted on one machine. It must be
// the filesystem's own program that does it: checksums depend on the number.
type restamp struct {
	program string
	// arguments may use $disk. random is 32 hexadecimal digits: some
	// programs take their own from the clock, and too coarsely for two
	// clones at a time (ntfslabel 2022.10.3: whole seconds).
	arguments func(random string) string
	// upTo is the size in bytes beyond which mkfs is faster; 0 is none.
	upTo int64
}

// restamps has the types for which a clone and its restamp cost no more than
// mkfs does; BenchmarkRestamp compares. Left out are xfs (xfs_admin 6.1 writes
// the whole log, 25 ms of CPU against 4 ms for mkfs, and sets a flag that old
// kernels refuse) and f2fs (nothing in f2fs-tools 1.15 does it). A type that
// has neither UUID nor serial number needs no restamp, and has nil.
//
// tune2fs reads and writes whatever has a checksum, of which ext4 has most.
var restamps = map[string]*restamp{
	"ext2":  {"tune2fs", tune2fs, 0},
	"ext3":  {"tune2fs", tune2fs, 0},
	"ext4":  {"tune2fs", tune2fs, 4 << 30},
	"btrfs": {"btrfstune", func(string) string { return `-f -u "$disk"` }, 0},
	"ntfs":  {"ntfslabel", func(random string) string { return `--new-serial=` + random[:16] + ` "$disk"` }, 0},
	"exfat": {"tune.exfat", func(random string) string { return `-I 0x` + random[:8] + ` "$disk"` }, 0},
	"vfat":  {"fatlabel", fatlabel, 0},
	"fat":   {"fatlabel", fatlabel, 0},
	"msdos": {"fatlabel", fatlabel, 0},
	"swap":  {"swaplabel", func(random string) string { return `-U ` + uuid(random) + ` "$disk"` }, 0},
	"minix": nil,
}

func tune2fs(string) string         { return `-U random "$disk"` }
func fatlabel(random string) string { return `-i "$disk" ` + random[:8] }

// uuid makes a random UUID (version 4) of 32 hexadecimal digits.
func uuid(random string) string {
	return random[:8] + "-" + random[8:12] + "-4" + random[13:16] + "-a" + random[17:20] + "-" + random[20:]
}

// restampOf returns false if a fresh mkfs is the better way to a new UUID.
func restampOf(fsType string, size int64) (*restamp, bool) {
	r, ok := restamps[fsType]
	if r != nil && r.upTo != 0 && size > r.upTo {
		return nil, false
	}
	return r, ok
}

// script is the shell script that does it to disk.
func (r *restamp) script(disk string) script {
	var random [16]byte
	rand.Read(random[:]) // never fails since Go 1.24
	return script{text: "exec </dev/null >&2\n" +
		"disk=" + shellquote.Quote(disk) + "\n" +
		"PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin\n" +
		"exec " + r.program + " " + r.arguments(hex.EncodeToString(random[:])) + "\n"}
}
