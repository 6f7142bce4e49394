// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command gate is a plugin whose connections are the file file=PATH, served
// directly as long as a gate lets them, which is one for all. What Go gets is
// easily told from that: a read is the letter A, or the one that comes as many
// later as requests are in progress directly, and a write is not carried out.
//
// The export "control" is the gate's word, of 8 bytes, little-endian. Writing it
// sets the upper half only. "ungated" has no gate, and "panic" fails to say.
package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync/atomic"

	"libguestfs.org/nbdkit"
)

const (
	mayRead  = 1 << 32
	mayWrite = 1 << 33
	inFlight = 1<<32 - 1
)

type plugin struct {
	path string
	word *atomic.Uint64
}

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
	if name == "control" {
		return &control{word: p.word}, nil
	}
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &disk{f: f, name: name, word: p.word}, nil
}

type disk struct {
	f    *os.File
	name string
	word *atomic.Uint64
}

func (d *disk) DirectFD() int { return int(d.f.Fd()) }

func (d *disk) DirectGate() (word *atomic.Uint64, read, write uint64) {
	switch d.name {
	case "panic":
		panic("on purpose")
	case "ungated":
		return nil, 0, 0
	}
	return d.word, mayRead, mayWrite
}

func (d *disk) GetSize() (uint64, error) { return 1 << 20, nil }

func (d *disk) CanFUA() (uint32, error) { return nbdkit.FUANative, nil }

func (d *disk) PRead(buf []byte, offset uint64, flags uint32) error {
	copy(buf, bytes.Repeat([]byte{'A' + byte(d.word.Load()&inFlight)}, len(buf)))
	return nil
}

func (d *disk) PWrite(buf []byte, offset uint64, flags uint32) error { return nil }

func (d *disk) Close() { d.f.Close() }

type control struct{ word *atomic.Uint64 }

func (c *control) GetSize() (uint64, error) { return 8, nil }

func (c *control) PRead(buf []byte, offset uint64, flags uint32) error {
	word := binary.LittleEndian.AppendUint64(nil, c.word.Load())
	copy(buf, word[offset:])
	return nil
}

func (c *control) PWrite(buf []byte, offset uint64, flags uint32) error {
	c.word.And(inFlight)
	c.word.Or(binary.LittleEndian.Uint64(buf) &^ inFlight)
	return nil
}

func init() {
	nbdkit.PluginInitialize("gate", &plugin{word: new(atomic.Uint64)})
}

func main() {}
