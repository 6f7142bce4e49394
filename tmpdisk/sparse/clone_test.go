// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// aPiece is length random bytes at off; off is also the seed.
type aPiece struct{ off, length int64 }

// sparseFile makes a file of size with only these pieces written.
func sparseFile(t testing.TB, dir string, size int64, pieces ...aPiece) *os.File {
	t.Helper()
	f, err := os.CreateTemp(dir, "sparse")
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	testkit.Must(t, f.Truncate(size))
	for _, p := range pieces {
		data := make([]byte, p.length)
		r := rand.NewChaCha8([32]byte{byte(p.off), byte(p.off >> 8), byte(p.off >> 16)})
		r.Read(data)
		if _, err := f.WriteAt(data, p.off); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func emptyFile(t testing.TB, dir string) *os.File {
	return sparseFile(t, dir, 0)
}

func allocated(t testing.TB, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	testkit.Must(t, unix.Fstat(int(f.Fd()), &st))
	return st.Blocks * 512
}

// sameContent compares all of two files that fit into memory.
func sameContent(t testing.TB, got, want *os.File) {
	t.Helper()
	a, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", got.Fd()))
	testkit.Must(t, err)
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", want.Fd()))
	testkit.Must(t, err)
	if !bytes.Equal(a, b) {
		t.Errorf("got %d bytes of other content than the %d of the original", len(a), len(b))
	}
}

func TestClone(t *testing.T) {
	files := []struct {
		name   string
		size   int64
		pieces []aPiece
	}{
		{"empty", 0, nil},
		{"one byte", 1, []aPiece{{0, 1}}},
		{"only a hole", 8 << 20, nil},
		{"data to the end", 3 << 20, []aPiece{{0, 3 << 20}}},
		{"odd length", 1<<20 + 777, []aPiece{{0, 10}, {1 << 20, 777}}},
		{"hole first and last", 20 << 20, []aPiece{{1 << 20, 5 << 20}, {17 << 20, 4096}}},
		{"more than a step", copyStep + 5<<20, []aPiece{{0, copyStep + 4<<20}}},
	}
	ways := []struct {
		name string
		o    Options
	}{
		{"best", Options{}},
		{byCopyRange, Options{copyOnly: true}},
		{byReadWrite, Options{readWriteOnly: true}},
		{"find zeroes", Options{copyOnly: true, FindZeroes: true}},
		{"in parts", Options{copyOnly: true}},
	}
	for _, f := range files {
		for _, way := range ways {
			t.Run(f.name+"/"+way.name, func(t *testing.T) {
				if way.name == "in parts" {
					way.o.Cuts = []int64{f.size / 3, f.size / 2}
				}
				dir := t.TempDir()
				src, dst := sparseFile(t, dir, f.size, f.pieces...), emptyFile(t, dir)
				r, err := Clone(context.Background(), int(dst.Fd()), int(src.Fd()), way.o)
				testkit.Must(t, err)
				t.Log(r)
				sameContent(t, dst, src)
				if got, limit := allocated(t, dst), allocated(t, src)+1<<20; got > limit {
					t.Errorf("got %d bytes allocated, want at most %d", got, limit)
				}
			})
		}
	}
}

func TestCloneToAnotherFilesystem(t *testing.T) {
	const shm = "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		t.Skip("no second filesystem: ", err)
	}
	other, err := os.MkdirTemp(shm, "clone-test")
	if err != nil {
		t.Skip("no second filesystem: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	src := sparseFile(t, t.TempDir(), 9<<20, aPiece{1 << 20, 1 << 20}, aPiece{8 << 20, 100})
	dst := emptyFile(t, other)
	r, err := Clone(context.Background(), int(dst.Fd()), int(src.Fd()), Options{})
	testkit.Must(t, err)
	t.Log(r)
	sameContent(t, dst, src)
	if got := allocated(t, dst); got > 3<<20 {
		t.Errorf("got %d bytes allocated, want about 1 MiB", got)
	}
}

func TestCloneFindsZeroes(t *testing.T) {
	dir := t.TempDir()
	src := sparseFile(t, dir, 32<<20, aPiece{0, 1 << 20}, aPiece{20 << 20, 1})
	if _, err := src.WriteAt(make([]byte, 8<<20), 4<<20); err != nil {
		t.Fatal(err)
	}
	if got := allocated(t, src); got < 8<<20 {
		t.Skipf("the filesystem found the zeroes itself: %d bytes allocated", got)
	}
	dst := emptyFile(t, dir)
	o := Options{copyOnly: true, FindZeroes: true}
	if _, err := Clone(context.Background(), int(dst.Fd()), int(src.Fd()), o); err != nil {
		t.Fatal(err)
	}
	sameContent(t, dst, src)
	if got := allocated(t, dst); got > 2<<20 {
		t.Errorf("got %d bytes allocated, want about 1 MiB", got)
	}
}

// A filesystem that does not tell where the holes are.
func TestCloneFindsZeroesWhereHolesAreNotTold(t *testing.T) {
	src := sparseFile(t, testkit.FUSE(t), 32<<20, aPiece{0, 1 << 20}, aPiece{20 << 20, 1})
	dst := emptyFile(t, t.TempDir())
	if _, err := Clone(context.Background(), int(dst.Fd()), int(src.Fd()), Options{}); err != nil {
		t.Fatal(err)
	}
	sameContent(t, dst, src)
	if got := allocated(t, dst); got > 2<<20 {
		t.Errorf("got %d bytes allocated, want about 1 MiB", got)
	}
}

func TestCloneStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	src := sparseFile(t, dir, 2*copyStep, aPiece{0, 2 * copyStep})
	for name, o := range map[string]Options{
		byCopyRange: {copyOnly: true}, byReadWrite: {readWriteOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := &expiring{Context: context.Background(), looks: 2}
			dst := emptyFile(t, dir)
			r, err := Clone(ctx, int(dst.Fd()), int(src.Fd()), o)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want %v", err, context.Canceled)
			}
			if r.copied == 0 || r.copied >= 2*copyStep {
				t.Errorf("got %d bytes copied, want some and not all", r.copied)
			}
		})
	}
}

// expiring is a context that ends once Err was called a number of times.
type expiring struct {
	context.Context
	looks int
}

func (c *expiring) Err() error {
	if c.looks == 0 {
		return context.Canceled
	}
	c.looks--
	return nil
}

func TestCloneErrors(t *testing.T) {
	dir := t.TempDir()
	src := sparseFile(t, dir, 1<<20, aPiece{0, 1 << 20})
	for name, o := range map[string]Options{
		"best": {}, byCopyRange: {copyOnly: true}, byReadWrite: {readWriteOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			testkit.Must(t, err)
			defer full.Close()
			c := copier{dst: int(full.Fd()), src: int(src.Fd()), readWrite: o.readWriteOnly}
			if err := c.copySparse(context.Background(), 0, 1<<20); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("got %v, want %v", err, unix.ENOSPC)
			}
			closed, err := os.Open(filepath.Join(dir, filepath.Base(src.Name())))
			testkit.Must(t, err)
			defer closed.Close()
			_, err = Clone(context.Background(), int(closed.Fd()), int(src.Fd()), o)
			testkit.Contains(t, err, "clone: ")
		})
	}
}

// BenchmarkClone shows what a clone costs by the amount of data.
func BenchmarkClone(b *testing.B) {
	for _, mib := range []int64{1, 16, 256} {
		for _, o := range []Options{{copyOnly: true}, {readWriteOnly: true}, {copyOnly: true, FindZeroes: true}} {
			b.Run(fmt.Sprintf("%dMiB/%+v", mib, o), func(b *testing.B) {
				dir := b.TempDir()
				src := sparseFile(b, dir, 1<<30, aPiece{0, mib << 20})
				b.SetBytes(mib << 20)
				b.ResetTimer()
				for range b.N {
					dst := filepath.Join(dir, "clone")
					f, err := os.Create(dst)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := Clone(context.Background(), int(f.Fd()), int(src.Fd()), o); err != nil {
						b.Fatal(err)
					}
					f.Close()
					os.Remove(dst)
				}
			})
		}
	}
}
