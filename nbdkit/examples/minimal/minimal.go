// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command minimal is the smallest plugin: a read-only disk of zeroes.
package main

import "libguestfs.org/nbdkit"

type plugin struct{}

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	return disk{}, nil
}

type disk struct{}

func (disk) GetSize() (uint64, error) {
	return 1 << 20, nil
}

func (disk) PRead(buf []byte, offset uint64, flags uint32) error {
	clear(buf)
	return nil
}

func init() {
	nbdkit.PluginInitialize("minimal", plugin{})
}

func main() {}
