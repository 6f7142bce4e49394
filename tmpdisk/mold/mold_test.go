// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/mold"
)

const limit = 8 << 20

func create(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(dir, "")
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// fileOf has each of the contents at its offset.
func fileOf(t testing.TB, size int64, contents map[int64]string) *os.File {
	t.Helper()
	f := create(t, t.TempDir())
	testkit.Must(t, f.Truncate(size))
	for off, s := range contents {
		if _, err := f.WriteAt([]byte(s), off); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func readMold(t testing.TB, f *os.File) *mold.Mold {
	t.Helper()
	m, err := mold.Read(f, limit)
	testkit.Must(t, err)
	return m
}

// wantContent reads f by any means and compares.
func wantContent(t *testing.T, what string, f io.ReaderAt, want []byte) {
	t.Helper()
	got := make([]byte, len(want)+1)
	n, err := f.ReadAt(got, 0)
	if n != len(want) || err != io.EOF {
		t.Fatalf("%s: got %d bytes, %v, want %d, EOF", what, n, err, len(want))
	}
	if !bytes.Equal(got[:n], want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("%s: got byte %#x at %d, want %#x", what, got[i], i, want[i])
	}
}

const k = 1 << 10

func block(c string, n int) string { return string(bytes.Repeat([]byte(c), n*4*k)) }

func TestCast(t *testing.T) {
	image := map[int64]string{0: "first", 20 * k: block("a", 3), 64 * k: block("x", 40), 500 * k: "at the end"}
	patch := func(off int64, s string) stamp.Patch { return stamp.Patch{Off: off, Data: []byte(s)} }
	cases := []struct {
		name    string
		size    int64
		image   map[int64]string
		patches []stamp.Patch
	}{
		{"nothing", 0, nil, nil},
		{"all zeroes", 1 << 20, nil, nil},
		{"no patches", 1 << 20, image, nil},
		{"size of less than a block", 10, map[int64]string{3: "abc"}, nil},
		{"size not in blocks", 8*k + 77, map[int64]string{8 * k: "abc"}, nil},
		{"repeated to an odd end", 400*k + 5, map[int64]string{0: block("x", 100) + "xxxxx"}, nil},
		{"more segments than one write takes", 10 << 20, map[int64]string{0: strings.Repeat(block("a", 1)+block("b", 1), 1200)}, nil},
		{"in a block", 1 << 20, image, []stamp.Patch{patch(1, "FIR"), patch(4, "ST")}},
		{"in a hole", 1 << 20, image, []stamp.Patch{patch(600*k+3, "hole")}},
		{"only in holes", 1 << 20, nil, []stamp.Patch{patch(0, "a"), patch(1, "b"), patch(99999, "c")}},
		{"from a hole into a run", 1 << 20, image, []stamp.Patch{patch(20*k-5, "123456789")}},
		{"from a run into a hole", 1 << 20, image, []stamp.Patch{patch(32*k-5, "123456789")}},
		{"over a run", 1 << 20, image, []stamp.Patch{patch(19*k, block("p", 4))}},
		{"over two runs", 1 << 20, image, []stamp.Patch{patch(2, block("q", 8))}},
		{"in repeated blocks", 1 << 20, image, []stamp.Patch{patch(70*k+1, "one"), patch(80*k-1, "two")}},
		{"over all", 1 << 20, image, []stamp.Patch{patch(0, block("z", 256))}},
		{"at the very end", 4*k + 3, map[int64]string{0: "x"}, []stamp.Patch{patch(4*k+1, "ab")}},
		{"empty", 1 << 20, image, []stamp.Patch{patch(0, ""), patch(0, ""), patch(1<<20, "")}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := fileOf(t, c.size, c.image)
			want := make([]byte, c.size)
			for off, s := range c.image {
				copy(want[off:], s)
			}
			m := readMold(t, src)
			wantContent(t, "ReadAt", m, want)
			for _, p := range c.patches {
				copy(want[p.Off:], p.Data)
			}
			f := create(t, t.TempDir())
			testkit.Must(t, m.Cast(int(f.Fd()), c.patches))
			wantContent(t, "cast", f, want)
		})
	}
}

// TestRandom compares with what is written one after the other.
func TestRandom(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := r.Int64N(3 << 20)
		want := make([]byte, size)
		src := create(t, dir)
		testkit.Must(t, src.Truncate(size))
		for range r.IntN(30) {
			if size == 0 {
				break
			}
			off := r.Int64N(size)
			data := bytes.Repeat([]byte{byte(r.IntN(3))}, r.IntN(1<<(10+r.IntN(10))))
			data = data[:min(int64(len(data)), size-off)]
			if r.IntN(2) == 0 {
				for i := range data {
					data[i] = byte(r.IntN(3))
				}
			}
			copy(want[off:], data)
			if _, err := src.WriteAt(data, off); err != nil {
				t.Fatal(err)
			}
		}
		m := readMold(t, src)
		wantContent(t, "ReadAt", m, want)
		var patches []stamp.Patch
		for off := r.Int64N(64 * k); off < size; {
			data := make([]byte, min(r.Int64N(1<<(1+r.IntN(14))), size-off))
			for i := range data {
				data[i] = byte(r.Int())
			}
			patches = append(patches, stamp.Patch{Off: off, Data: data})
			copy(want[off:], data)
			off += int64(len(data)) + r.Int64N(1<<r.IntN(20))
		}
		f := create(t, dir)
		if err := m.Cast(int(f.Fd()), patches); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		wantContent(t, "cast", f, want)
		src.Close()
		f.Close()
	}
}

// The mold's bytes are not written where a patch is written as well.
func TestWritesOnce(t *testing.T) {
	m := readMold(t, fileOf(t, 1<<20, map[int64]string{0: block("a", 4), 512 * k: block("b", 1)}))
	patches := []stamp.Patch{{Off: 10, Data: []byte("patch")}, {Off: 4090, Data: []byte("over the edge")}}
	f := create(t, t.TempDir())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := written(t)
	testkit.Must(t, m.Cast(int(f.Fd()), patches))
	if got, want := written(t)-before, int64(5*4*k); got != want {
		t.Errorf("got %d bytes written, want %d", got, want)
	}
}

// written is how many bytes this thread has written to files.
func written(t *testing.T) int64 {
	t.Helper()
	io, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Skip("needs the kernel to count: ", err)
	}
	var read, wrote int64
	if _, err := fmt.Sscanf(string(io), "rchar: %d\nwchar: %d\n", &read, &wrote); err != nil {
		t.Fatal(err)
	}
	return wrote
}

// What is zero in the mold is a hole in the cast.
func TestCastIsSparse(t *testing.T) {
	src := fileOf(t, 1<<30, map[int64]string{0: block("a", 1), 1 << 20: block("\x00", 1000), 1 << 29: block("b", 2)})
	f := create(t, t.TempDir())
	testkit.Must(t, readMold(t, src).Cast(int(f.Fd()), nil))
	var st unix.Stat_t
	testkit.Must(t, unix.Fstat(int(f.Fd()), &st))
	if got := st.Blocks * 512; got < 12*k || got > 64*k {
		t.Errorf("got %d bytes allocated, want 12 KiB and a little", got)
	}
}

func TestPatchesOutOfPlace(t *testing.T) {
	m := readMold(t, fileOf(t, 1<<20, nil))
	cases := []struct {
		name    string
		patches []stamp.Patch
	}{
		{"descending", []stamp.Patch{{Off: 10, Data: []byte("a")}, {Off: 5, Data: []byte("b")}}},
		{"overlapping", []stamp.Patch{{Off: 5, Data: []byte("ab")}, {Off: 6, Data: []byte("b")}}},
		{"past the end", []stamp.Patch{{Off: 1<<20 - 1, Data: []byte("ab")}}},
		{"far past the end", []stamp.Patch{{Off: 1<<63 - 1, Data: []byte("ab")}}},
		{"before the beginning", []stamp.Patch{{Off: -1, Data: []byte("ab")}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := create(t, t.TempDir())
			if err := m.Cast(int(f.Fd()), c.patches); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestMemory(t *testing.T) {
	random := make([]byte, 9<<20)
	for i := range random {
		random[i] = byte(rand.Int())
	}
	cases := []struct {
		name  string
		image map[int64]string
		want  int64 // bytes at most, 0 if too large
	}{
		{"nothing", nil, 0 + 1},
		{"a block", map[int64]string{4 * k: "a"}, 5 * k},
		{"repeated blocks", map[int64]string{0: block("\xff", 16<<10)}, 80 * k},
		{"repeated here and there", map[int64]string{0: block("\xff", 1<<10), 32 << 20: block("\xff", 1<<10)}, 80 * k},
		{"copies of a run", map[int64]string{0: string(random[:64*k]), 32 << 20: string(random[:64*k])}, 65 * k},
		{"just enough", map[int64]string{0: string(random[:8<<20-4*k])}, 8 << 20},
		{"too large", map[int64]string{0: string(random)}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, err := mold.Read(fileOf(t, 64<<20, c.image), limit)
			if c.want == 0 {
				if !errors.Is(err, mold.ErrTooLarge) {
					t.Errorf("got %v, want ErrTooLarge", err)
				}
				return
			}
			testkit.Must(t, err)
			if got := m.Kept(); got > c.want {
				t.Errorf("got %d bytes kept, want %d at most", got, c.want)
			}
			written := int64(0)
			for _, part := range c.image {
				written += (int64(len(part)) + 4*k - 1) / (4 * k) * 4 * k
			}
			if got := m.Written(); got != written {
				t.Errorf("got %d bytes written by a cast, want %d", got, written)
			}
		})
	}
}

func TestCastFails(t *testing.T) {
	m := readMold(t, fileOf(t, 4<<20, map[int64]string{0: block("x", 1024)}))
	t.Run("full", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("needs root, to mount a small tmpfs")
		}
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Skip("needs to mount: ", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		wantErrno(t, m.Cast(int(create(t, dir).Fd()), nil), unix.ENOSPC)
	})
	t.Run("read-only", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "f")
		testkit.Must(t, os.WriteFile(name, nil, 0o600))
		f, err := os.Open(name)
		testkit.Must(t, err)
		defer f.Close()
		wantErrno(t, m.Cast(int(f.Fd()), nil), unix.EINVAL)
	})
	t.Run("too large for the filesystem", func(t *testing.T) {
		f := create(t, t.TempDir())
		var old unix.Rlimit
		testkit.Must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
		small := unix.Rlimit{Cur: 1 << 20, Max: old.Max}
		testkit.Must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &small))
		err := m.Cast(int(f.Fd()), nil)
		testkit.Must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
		wantErrno(t, err, unix.EFBIG)
	})
}

func wantErrno(t *testing.T, err error, want unix.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
