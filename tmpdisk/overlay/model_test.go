// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// image makes a file of size bytes, of random data but for holes, and returns its path and
// what is in it.
func image(t testing.TB, rng *rand.Rand, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	path = filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off := 0; off < size; off += 8 << 10 {
		part := content[off:min(size, off+8<<10)]
		if rng.IntN(3) == 0 {
			continue
		}
		for i := range part {
			part[i] = byte(rng.Uint32() | 1)
		}
		if _, err := f.WriteAt(part, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func openBase(t testing.TB, path string) *Base {
	t.Helper()
	b, err := Open(path, testkit.Debug(t), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Release(); err != nil || b.users.Load() != 0 {
			t.Errorf("got %v, %d users of the base at the end, want none", err, b.users.Load())
		}
	})
	return b
}

// emptyFile is a file of size bytes in dir that has no name.
func emptyFile(t testing.TB, dir string, size int64) *disk.Disk {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	return fromFD(t, fd)
}

func fromFD(t testing.TB, fd int) *disk.Disk {
	t.Helper()
	d, err := disk.FromFD(fd, testkit.Debug(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newDisk(t testing.TB, base *Base, size int64) *Disk {
	t.Helper()
	d, err := New(emptyFile(t, t.TempDir(), size), base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// sizes are those of bases and disks: whole blocks and not, one longer than the other.
var sizes = []struct{ base, disk int }{
	{160 << 10, 160 << 10}, {160<<10 + 1000, 160<<10 + 1000}, {100<<10 + 512, 160<<10 + 5}, {0, 70 << 10}, {1, 4097}, {4095, 4095}, {4096, 4096},
}

// A step is one random request, of any alignment, and what it makes of the model.
type step struct {
	what string
	r    disk.Request
}

// nextStep favours ranges within a block or two, and whole blocks.
func nextStep(rng *rand.Rand, size int) step {
	limit := []int{100, 3 * Block, size}[rng.IntN(3)]
	off := rng.IntN(size)
	count := rng.IntN(min(limit, size-off) + 1)
	switch rng.IntN(6) {
	case 0:
		off, count = off&^(Block-1), count&^(Block-1)
	case 1:
		off, count = off&^511, count&^511
	case 2:
		count = size - off
	}
	s := step{r: disk.Request{Offset: uint64(off), Count: uint32(count)}}
	switch rng.IntN(5) {
	case 0, 1:
		s.what, s.r.Op, s.r.Count, s.r.Buf = "write", disk.Write, 0, make([]byte, count)
		for i := range s.r.Buf {
			s.r.Buf[i] = byte(rng.Uint32() | 1)
		}
	case 2:
		s.what, s.r.Op = "zero", disk.Zero
		s.r.Flags = []disk.Flags{0, disk.MayTrim, disk.Fast, disk.Fast | disk.MayTrim}[rng.IntN(4)]
	case 3:
		s.what, s.r.Op = "trim", disk.Trim
	case 4:
		s.what, s.r.Op = "cache", disk.Cache
	}
	return s
}

// apply carries the request out on the disk and the model.
func (s *step) apply(d *Disk, model []byte) error {
	err := d.Do(s.r)
	if s.r.Has(disk.Fast) && errors.Is(err, unix.EOPNOTSUPP) {
		return nil // and nothing may have changed
	}
	if err == nil && s.r.Op.Modifies() {
		part := model[s.r.Offset:][:s.r.Len()]
		clear(part)
		copy(part, s.r.Buf)
	}
	return err
}

func (s *step) String() string {
	return fmt.Sprintf("%s flags %d offset %d count %d", s.what, s.r.Flags, s.r.Offset, s.r.Len())
}

// wantContent reads all of d, and wants its extents to be true.
func wantContent(t testing.TB, d *Disk, want []byte, when any) {
	t.Helper()
	got := make([]byte, len(want))
	if err := d.Do(disk.Request{Op: disk.Read, Buf: got}); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v: got other data than the model's, first at %d, %v", when, firstDifference(got, want), err)
	}
	at := uint64(0)
	for at < uint64(len(want)) {
		before := at
		err := d.Do(disk.Request{Op: disk.Extents, Offset: at, Count: uint32(uint64(len(want)) - at),
			Add: func(off, n uint64, hole bool) error {
				if off != at || n == 0 || off+n > uint64(len(want)) {
					t.Fatalf("%v: got extent %d+%d after %d", when, off, n, at)
				}
				if at += n; hole && len(bytes.Trim(want[off:at], "\x00")) > 0 {
					t.Fatalf("%v: got data at %d+%d called a hole", when, off, n)
				}
				return nil
			}})
		if err != nil || at == before {
			t.Fatalf("%v: extents from %d: got %v, to %d", when, before, err, at)
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// whole is the base's content at the size of a disk.
func padded(content []byte, size int) []byte {
	return append(bytes.Clone(content), make([]byte, size-len(content))...)
}

// One request after the other, with the disk now and then taken up anew, as after a kill.
func TestModel(t *testing.T) {
	for _, size := range sizes {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d over %d, kept %t", size.disk, size.base, keep), func(t *testing.T) {
				rng := seeded(t)
				path, content := image(t, rng, size.base)
				base := openBase(t, path)
				d := newDisk(t, base, int64(size.disk))
				model := padded(content, size.disk)
				for range rng.IntN(3) {
					s := nextStep(rng, size.disk)
					if s.r.Op != disk.Write {
						continue
					}
					if err := d.Patch(int64(s.r.Offset), s.r.Buf); err != nil {
						t.Fatal(err)
					}
					copy(model[s.r.Offset:], s.r.Buf)
				}
				if d.Touched() {
					t.Error("got a fresh disk touched")
				}
				wantContent(t, d, model, "at first")
				if keep {
					if err := d.Keep(rng.IntN(2) == 0); err != nil {
						t.Fatal(err)
					}
				}
				for range 400 {
					s := nextStep(rng, size.disk)
					if err := s.apply(d, model); err != nil {
						t.Fatalf("%v: %v", &s, err)
					}
					wantContent(t, d, model, &s)
					if keep && rng.IntN(20) == 0 {
						d = resumed(t, d, base, false)
						wantContent(t, d, model, "resumed")
					}
				}
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
					t.Errorf("got another base than before, %v", err)
				}
			})
		}
	}
}

// resumed takes the file of d up as after a kill, which leaves what the kernel has.
func resumed(t testing.TB, d *Disk, base *Base, crashed bool) *Disk {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(d.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Resume(fromFD(t, fd), base, d.Size(), crashed, d.kept.durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	return again
}

// 64 clients' requests at once, in the same blocks: each has stripes of bytes of its own,
// narrower than a block. Now and then one changes the whole disk, while the others wait.
func TestModelInParallel(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for _, stripe := range []int{37, 512, 1500, Block, 3 * Block} {
			t.Run(fmt.Sprintf("stripes of %d, kept %t", stripe, keep), func(t *testing.T) {
				const parallel, rounds = 64, 3
				size := parallel*rounds*stripe + 77
				rng := seeded(t)
				path, content := image(t, rng, size*3/4)
				d := newDisk(t, openBase(t, path), int64(size))
				if keep {
					if err := d.Keep(true); err != nil {
						t.Fatal(err)
					}
				}
				model := padded(content, size)
				var all sync.RWMutex // for writing by whoever changes all
				var clients sync.WaitGroup
				for n := range parallel {
					mine := rand.New(rand.NewPCG(rng.Uint64(), 0))
					clients.Add(1)
					go func() {
						defer clients.Done()
						for i := range 60 {
							if i%20 == 19 && n%16 == 0 {
								func() {
									all.Lock()
									defer all.Unlock()
									s := nextStep(mine, size)
									if err := s.apply(d, model); err != nil {
										t.Errorf("%v: %v", &s, err)
									}
									wantContent(t, d, model, &s)
								}()
								continue
							}
							all.RLock()
							at := (mine.IntN(rounds)*parallel + n) * stripe
							s := nextStep(mine, stripe)
							s.r.Offset += uint64(at)
							err := s.apply(d, model)
							got := make([]byte, stripe)
							if err == nil {
								err = d.Do(disk.Request{Op: disk.Read, Buf: got, Offset: uint64(at)})
							}
							if want := model[at:][:stripe]; err != nil || !bytes.Equal(got, want) {
								t.Errorf("%v: got other data than the model's from %d on, first at %d, %v", &s, at, firstDifference(got, want), err)
							}
							if keep && mine.IntN(50) == 0 {
								if err := d.Sync(); err != nil {
									t.Error(err)
								}
							}
							all.RUnlock()
						}
					}()
				}
				clients.Wait()
				wantContent(t, d, model, "at the end")
				if keep {
					d = resumed(t, d, d.base, false)
					wantContent(t, d, model, "resumed")
				}
			})
		}
	}
}

// The machine crashes at any time, also between any two steps of a Sync. What is on the
// storage then is, sector by sector, what was synced last or what was written since. What
// a Sync had returned for is there, and a byte that no request has changed since is as it
// was.
func TestModelOfCrashes(t *testing.T) {
	const sector = 512
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%d over %d", size.disk, size.base), func(t *testing.T) {
			rng := seeded(t)
			path, content := image(t, rng, size.base)
			base := openBase(t, path)
			d := newDisk(t, base, int64(size.disk))
			if err := d.Keep(true); err != nil {
				t.Fatal(err)
			}
			model := padded(content, size.disk)
			states := [][]byte{bytes.Clone(model)} // since the last Sync, that one first
			stored := fileOf(t, d)                 // when the file was synced last
			t.Cleanup(func() { syncFile = (*disk.Disk).Sync })

			crash := func(when string) {
				t.Helper()
				written, after := fileOf(t, d), bytes.Clone(stored)
				for at := 0; at < len(after); at += sector {
					if rng.IntN(2) == 0 {
						copy(after[at:], written[at:min(at+sector, len(written))])
					}
				}
				file := emptyFile(t, t.TempDir(), int64(len(after)))
				if err := file.PWrite(after, 0); err != nil {
					t.Fatal(err)
				}
				c, err := Resume(file, base, d.Size(), true, true)
				if err != nil {
					t.Fatalf("crashed %s: %v", when, err)
				}
				got := make([]byte, size.disk)
				if err := c.Do(disk.Request{Op: disk.Read, Buf: got}); err != nil {
					t.Fatalf("crashed %s: %v", when, err)
				}
				for i, b := range got {
					if !anyHas(states, i, b) {
						t.Fatalf("crashed %s: got %d at %d, which it has never been in %d states", when, b, i, len(states))
					}
				}
				// Killed after that, the server finds the same.
				c = resumed(t, c, base, false)
				wantContent(t, c, got, "killed after a crash "+when)
				c.Close()
			}
			syncFile = func(f *disk.Disk) error {
				crash("in Sync, before the file is synced")
				stored = fileOf(t, d)
				crash("in Sync, after the file is synced")
				return nil
			}
			for i := range 150 {
				s := nextStep(rng, size.disk)
				if err := s.apply(d, model); err != nil {
					t.Fatalf("%v: %v", &s, err)
				}
				states = append(states, bytes.Clone(model))
				if i%5 == 0 {
					crash("after " + s.String())
				}
				if rng.IntN(8) == 0 {
					if err := d.Sync(); err != nil {
						t.Fatal(err)
					}
					states = [][]byte{bytes.Clone(model)}
					crash("after Sync")
				}
			}
		})
	}
}

func anyHas(states [][]byte, i int, b byte) bool {
	for _, s := range states {
		if s[i] == b {
			return true
		}
	}
	return false
}

// fileOf is all that is in the client's file.
func fileOf(t testing.TB, d *Disk) []byte {
	t.Helper()
	content := make([]byte, FileSize(d.Size()))
	if n, err := unix.Pread(d.FD(), content, 0); err != nil || n != len(content) {
		t.Fatalf("got %d bytes, %v, want %d", n, err, len(content))
	}
	return content
}
