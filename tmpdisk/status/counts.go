// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import "sync/atomic"

// Counts is what the clients of one disk have asked for. The zero value is ready.
// Requests that run at the same time for other disks do not slow each other down:
// the counters are on cache lines that nothing else is on. It must not be copied.
type Counts struct {
	_ [cacheLine]byte

	Read, Written, Trimmed, Zeroed Counter

	_ [cacheLine]byte
}

const cacheLine = 64

// Load is what has been counted up to now.
func (c *Counts) Load() Numbers {
	return Numbers{c.Read.load(), c.Written.load(), c.Trimmed.load(), c.Zeroed.load()}
}

// Counter counts the requests of one kind.
type Counter struct {
	Bytes, Requests atomic.Uint64
}

// Add counts one request of so many bytes.
func (c *Counter) Add(bytes uint64) {
	c.Bytes.Add(bytes)
	c.Requests.Add(1)
}

func (c *Counter) load() Count {
	return Count{Bytes: int64(c.Bytes.Load()), Requests: int64(c.Requests.Load())}
}

// Numbers are Counts at one moment, a plain value.
type Numbers struct {
	Read, Written, Trimmed, Zeroed Count
}

// Add adds another disk's.
func (n *Numbers) Add(other Numbers) {
	n.Read.add(other.Read)
	n.Written.add(other.Written)
	n.Trimmed.add(other.Trimmed)
	n.Zeroed.add(other.Zeroed)
}

func (c *Count) add(other Count) {
	c.Bytes += other.Bytes
	c.Requests += other.Requests
}
