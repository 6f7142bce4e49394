// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"testing"
	"unsafe"
)

// full has all data callbacks; each returns err.
type full struct {
	bare
	err error
}

func (f *full) PRead(buf []byte, offset uint64, flags uint32) error   { return f.err }
func (f *full) PWrite(buf []byte, offset uint64, flags uint32) error  { return f.err }
func (f *full) Flush(flags uint32) error                              { return f.err }
func (f *full) Trim(count uint32, offset uint64, flags uint32) error  { return f.err }
func (f *full) Zero(count uint32, offset uint64, flags uint32) error  { return f.err }
func (f *full) Cache(count uint32, offset uint64, flags uint32) error { return f.err }
func (f *full) Extents(count uint32, offset uint64, flags uint32, e *Extents) error {
	if f.err == nil {
		return e.Add(offset, uint64(count), 0)
	}
	return f.err
}

var dataCallbacks = []struct {
	name string
	call func(c *connection, buf []byte) int
	// without is what a connection gets that does not have the method.
	without int
}{
	{"pread", func(c *connection, buf []byte) int { return c.pread(buf, 0, 0) }, 0},
	{"pwrite", func(c *connection, buf []byte) int { return c.pwrite(buf, 0, 0) }, -1},
	{"flush", func(c *connection, buf []byte) int { return c.flush(0) }, -1},
	{"trim", func(c *connection, buf []byte) int { return c.trim(1, 0, 0) }, -1},
	{"zero", func(c *connection, buf []byte) int { return c.zero(1, 0, 0) }, -1},
	{"extents", func(c *connection, buf []byte) int { return c.extents(1, 0, 0, ignoreExtents()) }, -1},
	{"cache", func(c *connection, buf []byte) int { return c.cache(1, 0, 0) }, 0},
}

func ignoreExtents() *Extents {
	return newExtents(func(uint64, uint64, uint32) error { return nil }, 1, 0)
}

func TestDataCallbacks(t *testing.T) {
	buf := make([]byte, 1)
	for _, cb := range dataCallbacks {
		t.Run(cb.name, func(t *testing.T) {
			if got := cb.call(connectionTo(&full{}), buf); got != 0 {
				t.Errorf("success: got %d, want 0", got)
			}
			if got := cb.call(connectionTo(&full{err: errors.New("x")}), buf); got != -1 {
				t.Errorf("error: got %d, want -1", got)
			}
			if got := cb.call(connectionTo((*full)(nil)), buf); got != -1 {
				t.Errorf("nil pointer: got %d, want -1", got)
			}
			if got := cb.call(connectionTo(bare{}), buf); got != cb.without {
				t.Errorf("without the method: got %d, want %d", got, cb.without)
			}
		})
	}
}

func TestZeroNotSupported(t *testing.T) {
	c := connectionTo(&full{err: PluginError{Errmsg: "not fast", Errno: 95}}) // EOPNOTSUPP
	if got := c.zero(1, 0, FlagFastZero); got != -1 {
		t.Errorf("got %d, want -1", got)
	}
}

func TestExtentsWithoutAny(t *testing.T) {
	if got := connectionTo(withExtents{}).extents(1, 0, 0, ignoreExtents()); got != -1 {
		t.Errorf("got %d when no extent was added, want -1", got)
	}
}

func TestCloseDeletesTheHandle(t *testing.T) {
	for _, c := range []ConnectionInterface{bare{}, &closing{}, (*valueCloser)(nil)} {
		handle := newHandle(connectionTo(c))
		h := goHandle(handle)
		gonbdkitClose(handle)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T: the handle is still there after close", c)
				}
			}()
			h.Value()
		}()
	}
}

type closing struct{ bare }

func (*closing) Close() { panic("on purpose") }

// A nil pointer to it cannot be closed.
type valueCloser struct {
	bare
	_ int
}

func (valueCloser) Close() {}

// requestPath returns what the server does for a request, up to the plugin. The
// handle has a number that does not fit into a byte, as such are allocated.
func requestPath(tb testing.TB) (pread, pwrite func()) {
	var h unsafe.Pointer
	for range 300 {
		handle := newHandle(connectionTo(&full{}))
		tb.Cleanup(func() { deleteHandle(handle) })
		h = handle
	}
	buf := make([]byte, 4096)
	pread = func() {
		if conn(h).pread(buf, 4096, 0) != 0 {
			tb.Fatal("pread failed")
		}
	}
	pwrite = func() {
		if conn(h).pwrite(buf, 4096, FlagFUA) != 0 {
			tb.Fatal("pwrite failed")
		}
	}
	return pread, pwrite
}

func TestRequestsDoNotAllocate(t *testing.T) {
	pread, pwrite := requestPath(t)
	if got := testing.AllocsPerRun(1000, pread); got != 0 {
		t.Errorf("pread: got %v allocations, want 0", got)
	}
	if got := testing.AllocsPerRun(1000, pwrite); got != 0 {
		t.Errorf("pwrite: got %v allocations, want 0", got)
	}
}

func BenchmarkPRead(b *testing.B) {
	pread, _ := requestPath(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pread()
		}
	})
}

func BenchmarkPWrite(b *testing.B) {
	_, pwrite := requestPath(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pwrite()
		}
	})
}
