// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command nullgo is a plugin for measurements: reads of zeroes, in Go. The same
// as ../nullc.
package main

import "libguestfs.org/nbdkit"

type plugin struct{}

func (plugin) ThreadModel() (uint32, error) { return nbdkit.ThreadModelSerializeRequests, nil }

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) { return disk{}, nil }

type disk struct{}

func (disk) GetSize() (uint64, error) { return 1 << 30, nil }

func (disk) PRead(buf []byte, offset uint64, flags uint32) error {
	clear(buf)
	return nil
}

func init() {
	nbdkit.PluginInitialize("null-in-go", plugin{})
}

func main() {}
