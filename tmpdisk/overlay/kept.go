// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// page is how much of a map is written at once to the second one: what is to be written
// there is noted for a page, in bytes.
const page = 4 << 10

// kept is where a disk that outlives the server has its maps: see doc.go.
type kept struct {
	file  *disk.Disk
	first int64 // where the first map begins in the file
	size  int64 // of a map, in whole pages

	durable bool // there is a second map

	mu    sync.Mutex
	dirty map[int64]bool // pages that the second map has not as the first one has
	// reserved are pages for which the second map has room.
	reserved map[int64]bool

	syncing sync.Mutex // of the second map
}

func newKept(file *disk.Disk, size int64, durable bool) *kept {
	return &kept{
		file: file, first: whole(size), size: mapSize(size), durable: durable,
		dirty: map[int64]bool{}, reserved: map[int64]bool{},
	}
}

func whole(n int64) int64 { return (n + page - 1) / page * page }

func mapSize(size int64) int64 { return whole(int64(blocks(size)+7) / 8) }

// FileSize is the size, in bytes, of the file of a disk of size bytes that is kept.
func FileSize(size int64) int64 { return whole(size) + 2*mapSize(size) }

// Maps are the offsets, in bytes, of the maps in that file, in the order of the file. Who
// copies it while a late write may come copies the last one first, and the blocks last:
// what a map tells of was written before it.
func Maps(size int64) []int64 { return []int64{whole(size), whole(size) + mapSize(size)} }

// Keep has the map written to the client's file, now and whenever it changes: the disk
// can be resumed, by [Resume], even if the server is killed. With durable, what was
// written before a Sync can be had again when the machine has crashed. No request may be in
// progress.
func (d *Disk) Keep(durable bool) error {
	if err := sys.Truncate(d.own.FD(), FileSize(d.size)); err != nil {
		return fmt.Errorf("keep map: %w", err)
	}
	k := newKept(d.own, d.size, durable)
	if d.Touched() {
		d.patched = d.ownSpans()
	}
	for _, p := range d.patched {
		if err := k.mark(d.bits, p.from, p.to); err != nil {
			return err
		}
	}
	d.patched = nil
	d.kept = k
	return nil
}

// reserve gives the second map room for what is between two of its bytes: a Sync must not
// fail for that. With mu.
func (k *kept) reserve(from, to int64) error {
	for p := from / page; k.durable && p*page < to; p++ {
		if k.reserved[p] {
			continue
		}
		err := sys.Retry(func() error {
			return unix.Fallocate(k.file.FD(), unix.FALLOC_FL_KEEP_SIZE, k.first+k.size+p*page, page)
		})
		if sys.NoRoom(err) {
			return fmt.Errorf("reserve map: %w", err)
		}
		// Another error says that the filesystem cannot.
		k.reserved[p] = true
	}
	return nil
}

// ownSpans are the blocks that are the client's own. To find them takes reading the map.
func (d *Disk) ownSpans() (list []span) {
	for at := uint64(0); at < blocks(d.size); {
		next, own := d.bits.run(at, blocks(d.size))
		if own {
			list = append(list, span{at, next})
		}
		at = next
	}
	return list
}

// mark makes the blocks from from to to the client's own: in the first map, and then in
// memory, before another mark looks at the same words. If it fails, nothing has changed.
func (k *kept) mark(bits Bits, from, to uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reserve(int64(from/64*8), int64((to+63)/64*8)); err != nil {
		return err
	}
	if err := k.write(bits, from, to, from, to); err != nil {
		// What was written of it has room, and is as it was again.
		_ = k.write(bits, from, to, 0, 0)
		return fmt.Errorf("write map: %w", err)
	}
	bits.set(from, to)
	if k.durable {
		for p := int64(from/64*8) / page; p*page < int64((to+63)/64*8); p++ {
			k.dirty[p] = true
		}
	}
	return nil
}

// write writes the words of the blocks from from to to to the first map, with the bits
// from lo to hi set as well. With mu.
func (k *kept) write(bits Bits, from, to, lo, hi uint64) error {
	var buf [512]byte
	for i := from / 64; i*64 < to; {
		at, n := int64(i*8), 0
		for ; i*64 < to && n < len(buf); i, n = i+1, n+8 {
			binary.LittleEndian.PutUint64(buf[n:], bits.word(i)|mask(i, lo, hi))
		}
		if _, err := sys.Pwrite(k.file.FD(), buf[:n], k.first+at); err != nil {
			return err
		}
	}
	return nil
}

// Sync returns when all that was written is on the storage itself: of a durable disk,
// the map too.
func (d *Disk) Sync() error {
	k := d.kept
	if k == nil || !k.durable {
		return d.own.Sync()
	}
	// Else the second map could be given an older state after a newer one.
	k.syncing.Lock()
	defer k.syncing.Unlock()
	k.mu.Lock()
	pages := k.dirty
	k.dirty = map[int64]bool{}
	k.mu.Unlock()
	if err := k.sync(d.bits, slices.Sorted(maps.Keys(pages))); err != nil {
		k.mu.Lock()
		maps.Copy(k.dirty, pages)
		k.mu.Unlock()
		return err
	}
	return nil
}

// ErrMap says that a Sync could not write the second map, for which there may be no room.
// Nothing is lost: the next Sync may.
var ErrMap = errors.New("write second map")

// syncFile is for tests, which crash there.
var syncFile = (*disk.Disk).Sync

// sync writes pages to the second map, as they are now, once the data that they tell of
// is on the storage.
func (k *kept) sync(bits Bits, pages []int64) error {
	now := make([]byte, 0, len(pages)*page)
	for _, p := range pages {
		now = append(now, bits.page(p)...)
	}
	if err := syncFile(k.file); err != nil || len(pages) == 0 {
		return err
	}
	for i, p := range pages {
		if _, err := sys.Pwrite(k.file.FD(), now[i*page:][:page], k.first+k.size+p*page); err != nil {
			return fmt.Errorf("%w: %w", ErrMap, err)
		}
	}
	return syncFile(k.file)
}

// page is a page of the map as it is written.
func (b Bits) page(p int64) []byte {
	buf := make([]byte, page)
	for i := range uint64(page / 8) {
		if at := uint64(p)*(page/8) + i; at < uint64(len(b)) {
			binary.LittleEndian.PutUint64(buf[i*8:], b.word(at))
		}
	}
	return buf
}

// ErrDamaged says that a file is no disk that was kept.
var ErrDamaged = errors.New("its map is damaged")

// Resume returns the disk of size bytes that is kept in own, which it takes over, after an
// error too. crashed says that the machine may have crashed since: then
// the disk, which must have been durable, is as at its last Sync or later. The error
// wraps [ErrDamaged] if the file is not one of Keep. Nothing needs room in the file.
func Resume(own *disk.Disk, base *Base, size int64, crashed, durable bool) (*Disk, error) {
	d, err := over(own, base, size)
	if err != nil {
		return nil, err
	}
	if err := d.resume(crashed, durable); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Disk) resume(crashed, durable bool) error {
	if got, want := d.own.Size(), FileSize(d.size); got != want {
		return fmt.Errorf("%d bytes, not %d: %w", got, want, ErrDamaged)
	}
	k := newKept(d.own, d.size, durable)
	from, pages := k.first, map[int64]bool{}
	if crashed {
		from += k.size
	}
	err := k.each(from, func(p int64, text []byte) error {
		pages[p] = true
		return d.bits.load(p, text, blocks(d.size))
	})
	if err == nil && crashed {
		// What the first map has beyond that tells of data that may never have come.
		err = k.each(k.first, func(p int64, _ []byte) error {
			pages[p] = true
			return nil
		})
		for p := range pages {
			if err == nil {
				_, err = sys.Pwrite(k.file.FD(), d.bits.page(p), k.first+p*page)
			}
		}
	}
	if durable {
		k.dirty = pages
	}
	d.kept = k
	return err
}

// each calls f for each page of a map that is not all zeroes, and begins at from.
func (k *kept) each(from int64, f func(p int64, text []byte) error) error {
	fd, text := k.file.FD(), make([]byte, page)
	t, _ := sys.FSTypeOf(fd)
	for off := from; off < from+k.size; off += page {
		if t.TellsHoles() {
			data, _, err := sys.NextData(fd, off, from+k.size)
			if err != nil {
				return err
			}
			if off = data &^ (page - 1); off >= from+k.size {
				break
			}
		}
		if err := k.file.PRead(text, uint64(off)); err != nil {
			return fmt.Errorf("read map: %w", err)
		}
		if slices.ContainsFunc(text, func(b byte) bool { return b != 0 }) {
			if err := f((off-from)/page, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// load sets the bits of page p of a map of n blocks.
func (b Bits) load(p int64, text []byte, n uint64) error {
	for i := range uint64(page / 8) {
		at, w := uint64(p)*(page/8)+i, binary.LittleEndian.Uint64(text[i*8:])
		if w&^mask(at, 0, n) != 0 {
			return fmt.Errorf("it tells of blocks behind the end: %w", ErrDamaged)
		}
		if w != 0 {
			b.or(at, w)
		}
	}
	return nil
}
