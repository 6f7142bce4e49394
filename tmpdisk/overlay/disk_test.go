// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func read(t testing.TB, d *Disk, off uint64, count int) []byte {
	t.Helper()
	got := make([]byte, count)
	if err := d.Do(disk.Request{Op: disk.Read, Buf: got, Offset: off}); err != nil {
		t.Fatal(err)
	}
	return got
}

func write(t testing.TB, d *Disk, off uint64, data []byte) {
	t.Helper()
	if err := d.Do(disk.Request{Op: disk.Write, Buf: data, Offset: off}); err != nil {
		t.Fatal(err)
	}
}

// Requests that change different bytes of one block, which none has changed before.
func TestFirstWritesToOneBlock(t *testing.T) {
	const parallel, each = 16, Block / 16
	path, _ := image(t, seeded(t), 3*Block)
	base := openBase(t, path)
	for range 300 {
		d := newDisk(t, base, 3*Block)
		begin := make(chan struct{})
		var clients sync.WaitGroup
		for n := range parallel {
			clients.Add(1)
			go func() {
				defer clients.Done()
				<-begin
				data := bytes.Repeat([]byte{byte(n + 1)}, each)
				if err := d.Do(disk.Request{Op: disk.Write, Buf: data, Offset: uint64(Block + n*each)}); err != nil {
					t.Error(err)
				}
			}()
		}
		close(begin)
		clients.Wait()
		got := read(t, d, Block, Block)
		for n := range parallel {
			if part := got[n*each:][:each]; !bytes.Equal(part, bytes.Repeat([]byte{byte(n + 1)}, each)) {
				t.Fatalf("write %d: got %x..., want all %x", n, part[:4], n+1)
			}
		}
		d.Close()
	}
}

func TestExtentsOfBothFiles(t *testing.T) {
	const unit = 64 << 10
	path := t.TempDir() + "/image"
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 3*unit), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, openBase(t, path), 6*unit)
	for _, at := range []uint64{1, 2} {
		if err := d.Do(disk.Request{Op: disk.Trim, Count: unit, Offset: at * unit}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, d, 2*unit, bytes.Repeat([]byte{2}, unit))
	write(t, d, 4*unit, bytes.Repeat([]byte{2}, unit))
	type extent struct {
		off, n uint64
		hole   bool
	}
	ask := func(off uint64, count uint32, flags disk.Flags) (got []extent) {
		t.Helper()
		err := d.Do(disk.Request{Op: disk.Extents, Offset: off, Count: count, Flags: flags,
			Add: func(off, n uint64, hole bool) error { got = append(got, extent{off, n, hole}); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if own := ask(unit, 1, 0); !own[0].hole {
		t.Skip("TMPDIR's filesystem has no SEEK_HOLE")
	}
	for _, tt := range []struct {
		off   uint64
		count uint32
		flags disk.Flags
		want  []extent
	}{
		{0, 6 * unit, 0, []extent{
			{0, unit, false}, {unit, unit, true}, {2 * unit, unit, false}, {3 * unit, unit, true}, {4 * unit, unit, false}, {5 * unit, unit, true}}},
		{100, 6*unit - 100, disk.One, []extent{{100, unit - 100, false}}},
		{unit + 5, 10, 0, []extent{{unit + 5, 10, true}}},
		{3*unit - 5, 10, 0, []extent{{3*unit - 5, 5, false}, {3 * unit, 5, true}}},
		{5, 0, 0, nil},
	} {
		// Runs of one kind may come in pieces: nbdkit joins them.
		var got []extent
		for _, e := range ask(tt.off, tt.count, tt.flags) {
			if n := len(got); n > 0 && got[n-1].hole == e.hole && got[n-1].off+got[n-1].n == e.off {
				got[n-1].n += e.n
			} else {
				got = append(got, e)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d+%d: got %v, want %v", tt.off, tt.count, got, tt.want)
		}
	}
}

// One answer tells of so many runs at most, wherever they are.
func TestExtentsAreBounded(t *testing.T) {
	path := t.TempDir() + "/image"
	const size = 5000 * Block
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, openBase(t, path), size)
	for at := uint64(0); at < size; at += 2 * Block {
		if err := d.Do(disk.Request{Op: disk.Trim, Count: Block, Offset: at}); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	err := d.Do(disk.Request{Op: disk.Extents, Count: size, Add: func(_, _ uint64, _ bool) error { runs++; return nil }})
	if err != nil || runs != disk.MaxExtents {
		t.Errorf("got %d runs, %v, want %d", runs, err, disk.MaxExtents)
	}
	full := errors.New("full")
	err = d.Do(disk.Request{Op: disk.Extents, Count: size, Add: func(_, _ uint64, _ bool) error { return full }})
	if err != full {
		t.Errorf("got %v, want what Add says", err)
	}
}

// What is trimmed reads as zeroes even where nothing can be given back, and where a
// request that failed has left data.
func TestTrimOfWhatNobodyReads(t *testing.T) {
	path, _ := image(t, seeded(t), 4*Block)
	dir := testkit.Ramfs(t) // has no holes to punch
	fd, err := unix.Open(dir+"/own", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, 4*Block); err != nil {
		t.Fatal(err)
	}
	d, err := New(fromFD(t, fd), openBase(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := unix.Pwrite(fd, bytes.Repeat([]byte{9}, 4*Block), 0); err != nil {
		t.Fatal(err)
	}
	before := read(t, d, 0, 4*Block)
	if err := d.Do(disk.Request{Op: disk.Trim, Count: 2*Block + 10, Offset: Block - 5}); err != nil {
		t.Fatal(err)
	}
	clear(before[Block-5:][:2*Block+10])
	wantContent(t, d, before, "trimmed")
}

// On a full filesystem a write fails, and nothing else is lost: neither what was written
// before, nor the base's part.
func TestFullFilesystem(t *testing.T) {
	for _, keep := range []bool{false, true} {
		const size = 1 << 20
		rng := seeded(t)
		path, model := image(t, rng, size)
		base := openBase(t, path)
		d, err := New(emptyFile(t, testkit.Tmpfs(t, "300k"), size), base)
		if err != nil {
			t.Fatal(err)
		}
		if keep {
			if err := d.Keep(true); err != nil {
				t.Fatal(err)
			}
		}
		refused := 0
		for range 400 {
			s := nextStep(rng, size)
			if s.r.Len() > 50<<10 {
				continue
			}
			before := bytes.Clone(model[s.r.Offset:][:s.r.Len()])
			err := s.apply(d, model)
			if errors.Is(err, unix.ENOSPC) {
				refused++
				// What fails may have been carried out in part, of what is the client's own.
				now := read(t, d, s.r.Offset, int(s.r.Len()))
				for i, b := range now {
					if new := s.r.Op == disk.Write && b == s.r.Buf[i] || s.r.Op != disk.Write && b == 0; b != before[i] && !new {
						t.Fatalf("%v: got %d at %d, neither old nor new", &s, b, i)
					}
				}
				copy(model[s.r.Offset:], now)
			} else if err != nil {
				t.Fatalf("%v: %v", &s, err)
			}
		}
		wantContent(t, d, model, "full")
		if refused == 0 {
			t.Error("got no request refused, want some")
		}
		if keep {
			d = resumed(t, d, base, false)
			wantContent(t, d, model, "resumed on a full filesystem")
		}
		d.Close()
	}
}

// What is missing of a base that was truncated is an error, and is told.
func TestBaseBecomesShorter(t *testing.T) {
	path, content := image(t, seeded(t), 10*Block)
	var told []error
	base, err := Open(path, testkit.Debug(t), func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	defer base.Release()
	d := newDisk(t, base, 10*Block)
	write(t, d, 8*Block, bytes.Repeat([]byte{7}, Block))
	if err := os.Truncate(path, 5*Block); err != nil {
		t.Fatal(err)
	}
	if base.Changed() == nil {
		t.Error("got the base as before, want it changed")
	}
	if got := read(t, d, 0, 5*Block); !bytes.Equal(got, content[:5*Block]) {
		t.Error("got other data than the base has")
	}
	if got := read(t, d, 8*Block, Block); got[0] != 7 {
		t.Error("got other data than the client's own")
	}
	for _, r := range []disk.Request{
		{Op: disk.Read, Buf: make([]byte, 2*Block), Offset: 4 * Block},
		{Op: disk.Write, Buf: make([]byte, 5), Offset: 6 * Block},
	} {
		if err := d.Do(r); !errors.Is(err, unix.EIO) {
			t.Errorf("got %v, want EIO", err)
		}
	}
	err = d.Do(disk.Request{Op: disk.Extents, Count: 8 * Block, Add: func(off, n uint64, hole bool) error {
		if hole && off+n > 5*Block {
			t.Errorf("got a hole at %d+%d, where the base is missing", off, n)
		}
		return nil
	}})
	if err != nil || len(told) != 2 {
		t.Errorf("got %v, and %d failures told, want 2", err, len(told))
	}
}

func TestLargestRequests(t *testing.T) {
	path, content := image(t, seeded(t), 3*Block+1)
	const size, count = 5 << 30, math.MaxUint32
	d := newDisk(t, openBase(t, path), size)
	var sum uint64
	add := func(_, n uint64, hole bool) error { sum += n; return nil }
	if err := d.Do(disk.Request{Op: disk.Extents, Count: count, Add: add}); err != nil || sum != count {
		t.Errorf("got extents of %d bytes, %v, want %d", sum, err, uint64(count))
	}
	if got := read(t, d, 0, 4*Block); !bytes.Equal(got, padded(content, 4*Block)) {
		t.Error("got other data than the base's")
	}
	if err := d.Do(disk.Request{Op: disk.Zero, Flags: disk.MayTrim, Offset: 5, Count: count}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, 0, 4*Block); !bytes.Equal(got, padded(content[:5], 4*Block)) {
		t.Error("got other data than the base's first bytes and zeroes")
	}
	if d.Space() > 64<<10 {
		t.Errorf("got %d bytes of space taken, want next to nothing", d.Space())
	}
}

// A fresh disk takes no space, and next to no memory, however large it is.
func TestFreshDiskIsFree(t *testing.T) {
	path, _ := image(t, seeded(t), 1<<20)
	base := openBase(t, path)
	d := newDisk(t, base, 1<<40)
	if err := d.Keep(true); err != nil {
		t.Fatal(err)
	}
	if d.Space() != 0 {
		t.Errorf("got %d bytes of space taken, want none", d.Space())
	}
	in := make([]byte, len(d.bits)*8/os.Getpagesize())
	mem := d.bits.bytes()
	if _, _, err := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&in[0]))); err != 0 {
		t.Fatal(err)
	}
	if n := bytes.Count(in, []byte{1}); n != 0 {
		t.Errorf("got %d pages of the map in memory, want none", n)
	}
	write(t, d, 1<<39, []byte{1})
	if d.Space() > 64<<10 {
		t.Errorf("got %d bytes of space taken by one write", d.Space())
	}
	_, err := New(emptyFile(t, t.TempDir(), 1<<20-1), base)
	testkit.Contains(t, err, "1048575", "1048576")
}

func TestResumeOfWhatIsDamaged(t *testing.T) {
	path, _ := image(t, seeded(t), 10*Block)
	base := openBase(t, path)
	for name, damage := range map[string]func(fd int) error{
		"shorter": func(fd int) error { return unix.Ftruncate(fd, FileSize(10*Block)-1) },
		"longer":  func(fd int) error { return unix.Ftruncate(fd, FileSize(10*Block)+1) },
		"a bit behind the end": func(fd int) error {
			_, err := unix.Pwrite(fd, []byte{4}, 10*Block+1)
			return err
		},
		"a bit far behind the end": func(fd int) error {
			_, err := unix.Pwrite(fd, []byte{1}, 11*Block-1)
			return err
		},
	} {
		file := emptyFile(t, t.TempDir(), FileSize(10*Block))
		if err := damage(file.FD()); err != nil {
			t.Fatal(err)
		}
		if _, err := Resume(again(t, file), base, 10*Block, false, false); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

// again is the file of d, measured anew.
func again(t testing.TB, d *disk.Disk) *disk.Disk {
	t.Helper()
	defer d.Close()
	fd, err := unix.FcntlInt(uintptr(d.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fromFD(t, fd)
}

// Where there is no room for the second map, a Sync fails, and the next one makes up for it:
// for a disk that was kept without one before.
func TestSyncWithoutRoom(t *testing.T) {
	path, _ := image(t, seeded(t), 1<<20)
	base := openBase(t, path)
	dir := testkit.Tmpfs(t, "300k")
	d, err := New(emptyFile(t, dir, 1<<20), base)
	testkit.Must(t, err)
	testkit.Must(t, d.Keep(false))
	write(t, d, 5*Block, []byte("own"))
	full := dir + "/full"
	_ = os.WriteFile(full, make([]byte, 1<<20), 0o600)
	d.kept.durable = true // as it is taken up again
	d = resumed(t, d, base, false)
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, ErrMap) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC for the map", err)
	}
	testkit.Must(t, os.Remove(full))
	testkit.Must(t, d.Sync())
	d = resumed(t, d, base, true)
	if got := read(t, d, 5*Block, 3); string(got) != "own" {
		t.Errorf("got %q after a crash, want what was synced", got)
	}
}

// What has no length changes nothing, wherever it is.
func TestRequestsOfNothing(t *testing.T) {
	path, content := image(t, seeded(t), 4*Block)
	d := newDisk(t, openBase(t, path), 4*Block)
	testkit.Must(t, d.Patch(Block+5, nil))
	for _, op := range []disk.Op{disk.Write, disk.Zero, disk.Trim, disk.Cache, disk.Read} {
		testkit.Must(t, d.Do(disk.Request{Op: op, Offset: 2*Block + 5, Buf: []byte{}}))
	}
	wantContent(t, d, content, "nothing was asked for")
}

// Blocks that lie side by side become the client's own at the same time, and the maps on
// storage have all of them: the first at any time, the second after a Sync.
func TestMarksSideBySide(t *testing.T) {
	const count, parallel = 8 << 10, 16
	path := t.TempDir() + "/image"
	testkit.Must(t, os.WriteFile(path, bytes.Repeat([]byte{1}, count*Block), 0o600))
	base := openBase(t, path)
	d := newDisk(t, base, count*Block)
	testkit.Must(t, d.Keep(true))
	// Only what is synced, and when, is of interest here.
	syncFile = func(*disk.Disk) error { return nil }
	defer func() { syncFile = (*disk.Disk).Sync }()
	next, stop := make(chan uint64, parallel), make(chan struct{})
	var clients, syncs sync.WaitGroup
	for range parallel {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for n := range next {
				if err := d.PWrite(make([]byte, Block), n*Block); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	syncs.Add(1)
	go func() {
		defer syncs.Done()
		for {
			select {
			case <-stop:
				return
			default:
				if err := d.Sync(); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for n := range uint64(count) {
		next <- n
	}
	close(next)
	clients.Wait()
	close(stop)
	syncs.Wait()
	testkit.Must(t, d.Sync())
	for _, crashed := range []bool{false, true} {
		d = resumed(t, d, base, crashed)
		if end, own := d.bits.run(0, count); !own || end != count {
			t.Fatalf("crashed %t: block %d is the base's again", crashed, end)
		}
	}
}
