// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command counts is a plugin whose connections are the file file=PATH, served
// directly as long as a gate, which is one for all, lets them. All connections to
// one export have the same counts, which outlive them. Reads and writes beyond
// the end of the file fail. "nil" has no counts, and "panic" fails to say.
//
// The export "gate" is the gate's word, of 8 bytes, little-endian. Writing it sets
// the upper half only. "counts/NAME" is what there is of the export NAME, 32 such
// words: requests and bytes read without Go, written likewise, the times' sum, 24
// counts of times, and the reads, writes and Closes that Go got.
package main

import (
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"libguestfs.org/nbdkit"
)

const (
	mayPass  = 1 << 32
	inFlight = 1<<32 - 1
)

var (
	_ nbdkit.PWriter       = (*disk)(nil)
	_ nbdkit.CanFUAer      = (*disk)(nil)
	_ nbdkit.DirectFDer    = (*disk)(nil)
	_ nbdkit.DirectGater   = (*disk)(nil)
	_ nbdkit.DirectCounter = (*disk)(nil)
)

type plugin struct {
	path string
	word *atomic.Uint64

	mu      sync.Mutex
	exports map[string]*export
}

// export is what is known of the connections to one, those that are closed too.
type export struct {
	direct                nbdkit.DirectCounts
	reads, writes, closes atomic.Uint64
}

func (p *plugin) Config(key, value string) error {
	path, err := nbdkit.AbsolutePath(value)
	p.path = path
	return err
}

func (p *plugin) export(name string) *export {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exports[name] == nil {
		p.exports[name] = new(export)
	}
	return p.exports[name]
}

func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	if of, ok := strings.CutPrefix(name, "counts/"); ok {
		return report{p.export(of)}, nil
	}
	if name == "gate" {
		return gate{word: p.word}, nil
	}
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &disk{f: f, name: name, word: p.word, export: p.export(name)}, nil
}

type disk struct {
	f      *os.File
	name   string
	word   *atomic.Uint64
	export *export
}

func (d *disk) DirectFD() int { return int(d.f.Fd()) }

func (d *disk) DirectGate() (word *atomic.Uint64, read, write uint64) {
	return d.word, mayPass, mayPass
}

func (d *disk) DirectCounts() *nbdkit.DirectCounts {
	switch d.name {
	case "nil":
		return nil
	case "panic":
		panic("on purpose")
	}
	return &d.export.direct
}

func (d *disk) GetSize() (uint64, error) { return 1 << 20, nil }

func (d *disk) CanFUA() (uint32, error) { return nbdkit.FUANative, nil }

func (d *disk) PRead(buf []byte, offset uint64, flags uint32) error {
	d.export.reads.Add(1)
	_, err := d.f.ReadAt(buf, int64(offset))
	return err
}

func (d *disk) PWrite(buf []byte, offset uint64, flags uint32) error {
	d.export.writes.Add(1)
	_, err := d.f.WriteAt(buf, int64(offset))
	return err
}

func (d *disk) Close() {
	d.export.closes.Add(1)
	d.f.Close()
}

// report is an export's numbers.
type report struct{ export *export }

func (r report) GetSize() (uint64, error) { return 32 * 8, nil }

func (r report) PRead(buf []byte, offset uint64, flags uint32) error {
	d := &r.export.direct
	words := []*atomic.Uint64{&d.Reads, &d.ReadBytes, &d.Writes, &d.WrittenBytes, &d.LatencySum}
	for i := range d.Latency {
		words = append(words, &d.Latency[i])
	}
	words = append(words, &r.export.reads, &r.export.writes, &r.export.closes)
	var all []byte
	for _, word := range words {
		all = binary.LittleEndian.AppendUint64(all, word.Load())
	}
	copy(buf, all[offset:])
	return nil
}

type gate struct{ word *atomic.Uint64 }

func (g gate) GetSize() (uint64, error) { return 8, nil }

func (g gate) PRead(buf []byte, offset uint64, flags uint32) error {
	word := binary.LittleEndian.AppendUint64(nil, g.word.Load())
	copy(buf, word[offset:])
	return nil
}

func (g gate) PWrite(buf []byte, offset uint64, flags uint32) error {
	g.word.And(inFlight)
	g.word.Or(binary.LittleEndian.Uint64(buf) &^ inFlight)
	return nil
}

func init() {
	nbdkit.PluginInitialize("counts", &plugin{word: new(atomic.Uint64), exports: map[string]*export{}})
}

func main() {}
