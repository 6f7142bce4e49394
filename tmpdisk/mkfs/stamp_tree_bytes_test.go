// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs_test

import (
	"crypto/rand"
	"encoding/binary"
	"os"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// A span is bytes of the disk that a stamp may change.
type span struct {
	off, length int64
	why         string
}

func at(base int64, spans ...span) []span {
	for i := range spans {
		spans[i].off += base
	}
	return spans
}

// The metadata of a stamped disk are the mold's, but for these bytes.
func TestTreeStampChangesNothingElse(t *testing.T) {
	for fsType, spans := range map[string]func(t *testing.T, f *os.File) []span{
		"xfs": xfsSpans, "btrfs": btrfsSpans, "f2fs": f2fsSpans,
	} {
		t.Run(fsType, func(t *testing.T) {
			f := makeTree(t, treeTypeOf(t, fsType), 1<<30)
			may := spans(t, f)
			changed := make([]int, len(may))
			var id mkfs.ID
			rand.Read(id[:])
			for _, p := range newTreeStamp(t, fsType, f).Patches(id) {
				for i, b := range readTree(t, f, p.Off, len(p.Data)) {
					if b == p.Data[i] {
						continue
					}
					if n := spanOf(may, p.Off+int64(i)); n >= 0 {
						changed[n]++
					} else {
						t.Errorf("byte %d: changed from %#x to %#x", p.Off+int64(i), b, p.Data[i])
					}
				}
			}
			for n, s := range may {
				if changed[n] == 0 {
					t.Errorf("%s at %d: not changed", s.why, s.off)
				}
			}
		})
	}
}

func spanOf(spans []span, off int64) int {
	for n, s := range spans {
		if off >= s.off && off < s.off+s.length {
			return n
		}
	}
	return -1
}

func readTree(t *testing.T, f *os.File, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := f.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

// xfsSpans is for the four groups of 1 GiB.
func xfsSpans(t *testing.T, f *os.File) []span {
	const group = 1 << 28
	var all []span
	for i := range int64(4) {
		all = append(all, at(i*group, span{32, 16, "UUID"}, span{216, 4, "feature"},
			span{224, 4, "checksum"}, span{248, 16, "metadata UUID"})...)
	}
	log := int64(binary.BigEndian.Uint64(readTree(t, f, 48, 8)))
	inGroup := log & (group/4096 - 1)
	return append(all, span{log/(group/4096)*group + inGroup*4096 + 304, 16, "UUID in the log"})
}

func btrfsSpans(t *testing.T, f *os.File) []span {
	super := func(off int64) []span {
		return at(off, span{0, 4, "checksum"}, span{32, 16, "UUID"}, span{188, 8, "feature"},
			span{267, 16, "UUID of the device"}, span{571, 16, "metadata UUID"},
			span{892, 16, "UUID of the device, first stripe"}, span{924, 16, "UUID of the device, second stripe"})
	}
	all := append(super(64<<10), super(64<<20)...)
	device := string(readTree(t, f, 64<<10+267, 16))
	for _, off := range []int64{22036480, 30425088} { // both copies of the chunk tree
		all = append(all, span{off, 4, "checksum of the chunk tree"})
		// mkfs leaves stale bytes in the free space before the last item.
		const used = 101 + 15881
		items := string(readTree(t, f, off+used, 16<<10-used))
		for i := range len(items) - 15 {
			if items[i:i+16] == device {
				all = append(all, span{off + used + int64(i), 16, "UUID of the device in the chunk tree"})
			}
		}
	}
	if got, want := len(all), 2*7+2*(1+1+5); got != want {
		t.Errorf("got %d spans, want %d", got, want)
	}
	return all
}

func f2fsSpans(*testing.T, *os.File) []span {
	return []span{{1024 + 108, 16, "UUID"}, {4096 + 1024 + 108, 16, "UUID"}}
}
