// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command stress is a plugin whose connections each have a small disk of their
// own, which begins with a pattern made from the export name. The disk of the
// export "connections" is the number of connections there are, itself included,
// as text. Reads of the export "slow" take until the server is to end; "large"
// has 64 MiB of zeroes.
package main

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"libguestfs.org/nbdkit"
)

const size = 1 << 20

var connections atomic.Int64

type plugin struct{}

// AfterFork makes Go open the descriptors of its poller, which it keeps: a test
// counts descriptors.
func (plugin) AfterFork() error {
	time.Sleep(time.Millisecond)
	return nil
}

func (plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	c := &conn{name: name, data: make([]byte, size)}
	n := connections.Add(1)
	switch name {
	case "connections":
		c.data = append(strconv.AppendInt(nil, n, 10), '\n')
		return c, nil
	case "large":
		c.data = make([]byte, 64<<20)
		return c, nil
	}
	hash := fnv.New64a()
	hash.Write([]byte(name))
	for i := 0; i < size; i += 8 {
		binary.BigEndian.PutUint64(c.data[i:], hash.Sum64()+uint64(i))
	}
	return c, nil
}

type conn struct {
	name  string
	data  []byte
	close sync.Once
}

func (c *conn) GetSize() (uint64, error) { return uint64(len(c.data)), nil }

func (c *conn) PRead(buf []byte, offset uint64, flags uint32) error {
	if c.name == "slow" {
		return nbdkit.Nanosleep(time.Hour)
	}
	copy(buf, c.data[offset:])
	return nil
}

func (c *conn) PWrite(buf []byte, offset uint64, flags uint32) error {
	copy(c.data[offset:], buf)
	return nil
}

func (c *conn) Close() {
	again := true
	c.close.Do(func() {
		again = false
		c.data = nil // whatever still used it would panic
		connections.Add(-1)
	})
	if again {
		panic("closed twice")
	}
}

func init() {
	nbdkit.PluginInitialize("stress", plugin{})
}

func main() {}
