// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command direct is a plugin whose connections are the file file=PATH, served
// directly. The log has what Go got to see of it. For the export "unwritable"
// the descriptor cannot be written to, and Go answers with ENOSPC.
package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"libguestfs.org/nbdkit"
)

type plugin struct{ path string }

func (p *plugin) Config(key, value string) error {
	path, err := nbdkit.AbsolutePath(value)
	p.path = path
	return err
}

func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	mode := os.O_RDWR
	if name == "unwritable" {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(p.path, mode, 0)
	if err != nil {
		return nil, err
	}
	return &disk{f: f}, nil
}

type disk struct {
	f               *os.File
	preads, pwrites atomic.Int32
}

func (d *disk) DirectFD() int { return int(d.f.Fd()) }

func (d *disk) GetSize() (uint64, error) { return 1 << 20, nil }

func (d *disk) CanFUA() (uint32, error) { return nbdkit.FUANative, nil }

func (d *disk) PRead(buf []byte, offset uint64, flags uint32) error {
	d.preads.Add(1)
	_, err := d.f.ReadAt(buf, int64(offset))
	return err
}

func (d *disk) PWrite(buf []byte, offset uint64, flags uint32) error {
	d.pwrites.Add(1)
	if _, err := d.f.WriteAt(buf, int64(offset)); err != nil {
		return fmt.Errorf("pwrite: %w", syscall.ENOSPC)
	}
	return nil
}

func (d *disk) Close() {
	nbdkit.Error(fmt.Sprintf("preads=%d pwrites=%d", d.preads.Load(), d.pwrites.Load()))
	d.f.Close()
}

func init() {
	nbdkit.PluginInitialize("direct", &plugin{})
}

func main() {}
