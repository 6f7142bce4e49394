// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// DirectCounts has the numbers of a [DirectCounter]: the requests that succeeded
// without Go, each counted once, and how long some of them took. All others come
// to PRead and PWrite, which may count them, but not here. The zero value is ready
// for use and must not be copied.
//
// The numbers may be read at any time, and only grow. Each is right by itself: a
// reader may see a request's bytes before the request.
//
// The first request is timed, and then the one that follows each 256th read and
// each 256th write. Its time is what reading or writing the file took. Latency[i]
// counts the requests that took at most time.Microsecond << i and too long for
// Latency[i-1]. The last element has no upper bound: it counts what took longer
// than 2^22 microseconds, or 4.2 seconds.
type DirectCounts struct {
	_ [64]byte // no other connection's numbers are on the same cache line

	Reads, ReadBytes     atomic.Uint64
	Writes, WrittenBytes atomic.Uint64

	pause atomic.Uint64 // counts.h

	LatencySum atomic.Uint64 // of all that were timed, nanoseconds
	Latency    [C.GONBDKIT_LATENCIES]atomic.Uint64
}

// Time adds a request that took d to Latency and LatencySum. It is for requests
// that the plugin has served and timed itself. Below 0 is 0.
func (c *DirectCounts) Time(d time.Duration) {
	C.gonbdkit_count_time(c.inC(), C.uint64_t(max(d, 0)))
}

func (c *DirectCounts) inC() *C.struct_gonbdkit_counts {
	return (*C.struct_gonbdkit_counts)(unsafe.Pointer(c))
}

// C's struct is the same: an index that is not 0 does not compile.
var (
	inGo DirectCounts
	inC  C.struct_gonbdkit_counts

	_ = [1]int{}[unsafe.Sizeof(inGo)-unsafe.Sizeof(inC)]
	_ = [1]int{}[unsafe.Offsetof(inGo.Reads)-unsafe.Offsetof(inC.reads)]
	_ = [1]int{}[unsafe.Offsetof(inGo.ReadBytes)-unsafe.Offsetof(inC.read_bytes)]
	_ = [1]int{}[unsafe.Offsetof(inGo.Writes)-unsafe.Offsetof(inC.writes)]
	_ = [1]int{}[unsafe.Offsetof(inGo.WrittenBytes)-unsafe.Offsetof(inC.written_bytes)]
	_ = [1]int{}[unsafe.Offsetof(inGo.pause)-unsafe.Offsetof(inC.pause)]
	_ = [1]int{}[unsafe.Offsetof(inGo.LatencySum)-unsafe.Offsetof(inC.latency_sum)]
	_ = [1]int{}[unsafe.Offsetof(inGo.Latency)-unsafe.Offsetof(inC.latency)]
)
