// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command ramdisk is a writable disk in memory, one for all clients. It takes
// memory only for the pages that something has been written to, and knows
// extents, zero and trim.
//
//	go build -buildmode=c-shared -o ramdisk.so ./examples/ramdisk
//	nbdkit ./ramdisk.so 1G
package main

import (
	"errors"
	"fmt"

	"libguestfs.org/nbdkit"
)

type plugin struct {
	size uint64
	disk *ramdisk
}

// Describe is what --help, --version and --dump-plugin show.
func (p *plugin) Describe() nbdkit.Description {
	return nbdkit.Description{
		Longname:       "nbdkit Go ramdisk",
		Version:        "1.0",
		Description:    "A writable disk in memory, one for all clients.",
		MagicConfigKey: "size",
		ConfigHelp:     "size=SIZE  (required)  Size of the disk, as in 100M.",
	}
}

func (p *plugin) Config(key, value string) error {
	if key != "size" {
		return fmt.Errorf("unknown parameter %q", key)
	}
	size, err := nbdkit.ParseSize(value)
	if err != nil {
		return err
	}
	p.size = uint64(size)
	return nil
}

func (p *plugin) ConfigComplete() error {
	if p.size == 0 {
		return errors.New("the parameter size is missing, as in size=100M")
	}
	return nil
}

// GetReady runs in the process that serves only. Config does not: whatever
// costs something is better done here.
func (p *plugin) GetReady() error {
	p.disk = newRamdisk(p.size)
	return nil
}

func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	return p.disk, nil
}

func init() {
	nbdkit.PluginInitialize("ramdisk", &plugin{})
}

func main() {}
