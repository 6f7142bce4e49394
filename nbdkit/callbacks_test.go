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
	call func(handle, buf unsafe.Pointer) int
	// without is what a connection gets that does not have the method.
	without int
}{
	{"pread", func(h, buf unsafe.Pointer) int { return int(gonbdkitPRead(h, buf, 1, 0, 0)) }, 0},
	{"pwrite", func(h, buf unsafe.Pointer) int { return int(gonbdkitPWrite(h, buf, 1, 0, 0)) }, -1},
	{"flush", func(h, _ unsafe.Pointer) int { return int(gonbdkitFlush(h, 0)) }, -1},
	{"trim", func(h, _ unsafe.Pointer) int { return int(gonbdkitTrim(h, 1, 0, 0)) }, -1},
	{"zero", func(h, _ unsafe.Pointer) int { return int(gonbdkitZero(h, 1, 0, 0)) }, -1},
	{"extents", func(h, _ unsafe.Pointer) int { return int(askExtents(h, ignoreExtent, 1, 0, 0)) }, -1},
	{"cache", func(h, _ unsafe.Pointer) int { return int(gonbdkitCache(h, 1, 0, 0)) }, 0},
}

func ignoreExtent(uint64, uint64, uint32) error { return nil }

// handleOf returns a handle that leads to c during the test.
func handleOf(tb testing.TB, c ConnectionInterface) unsafe.Pointer {
	handle := newHandle(connectionTo(c))
	tb.Cleanup(func() { deleteHandle(handle) })
	return handle
}

func TestDataCallbacks(t *testing.T) {
	buf := unsafe.Pointer(new([1]byte))
	for _, cb := range dataCallbacks {
		t.Run(cb.name, func(t *testing.T) {
			if got := cb.call(handleOf(t, &full{}), buf); got != 0 {
				t.Errorf("success: got %d, want 0", got)
			}
			if got := cb.call(handleOf(t, &full{err: errors.New("x")}), buf); got != -1 {
				t.Errorf("error: got %d, want -1", got)
			}
			if got := cb.call(handleOf(t, (*full)(nil)), buf); got != -1 {
				t.Errorf("nil pointer: got %d, want -1", got)
			}
			if got := cb.call(handleOf(t, bare{}), buf); got != cb.without {
				t.Errorf("without the method: got %d, want %d", got, cb.without)
			}
		})
	}
}

func TestZeroNotSupported(t *testing.T) {
	h := handleOf(t, &full{err: PluginError{Errmsg: "not fast", Errno: 95}}) // EOPNOTSUPP
	if got := gonbdkitZero(h, 1, 0, 1<<3); got != -1 {                       // FlagFastZero
		t.Errorf("got %d, want -1", got)
	}
}

func TestExtentsWithoutAny(t *testing.T) {
	if got := askExtents(handleOf(t, withExtents{}), ignoreExtent, 1, 0, 0); got != -1 {
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
		h = handleOf(tb, &full{})
	}
	buf := unsafe.Pointer(new([4096]byte))
	pread = func() {
		if gonbdkitPRead(h, buf, 4096, 4096, 0) != 0 {
			tb.Fatal("pread failed")
		}
	}
	pwrite = func() {
		if gonbdkitPWrite(h, buf, 4096, 4096, 0) != 0 {
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
