// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import "nbdkit-tmpdisk-plugin/tmpdisk/disk"

// Disk is what a session needs of a disk: see package disk.
type Disk interface {
	Size() int64
	Space() uint64
	FD() int
	Touched() bool
	Close() error
	Sync() error
	Do(disk.Request) error
}
