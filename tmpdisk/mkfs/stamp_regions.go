// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"cmp"
	"crypto/sha256"
	"hash/crc32"
	"slices"
)

// A region is a piece of the mold that has identities in it, and the checksum
// over itself.
type region struct {
	off  int64
	data []byte
	// gap bytes stand on the disk between the first head bytes of data and
	// the others. They stay as they are.
	head, gap int
	// uuids and devices are where in data the UUID of the filesystem, or
	// that of the device below it, stands.
	uuids, devices []int
	sum            func(data []byte) // sets the checksum; nil if there is none
}

// regions is a Stamp. It keeps its regions as the mold has them, but for the
// identities and the checksums.
type regions []region

// newRegions takes regions in any order.
func newRegions(rs ...region) (Stamp, error) {
	slices.SortFunc(rs, func(a, b region) int { return cmp.Compare(a.off, b.off) })
	for i := range rs[1:] {
		if end := rs[i].off + int64(len(rs[i].data)+rs[i].gap); end > rs[i+1].off {
			return nil, unsure("what is at %d overlaps what is at %d", rs[i].off, rs[i+1].off)
		}
	}
	return regions(rs), nil
}

func (rs regions) Patches(id ID) []Patch {
	total := 0
	for _, r := range rs {
		total += len(r.data)
	}
	uuid, device := uuidOf(id), uuidOf(deviceID(id))
	all := make([]byte, 0, total)
	patches := make([]Patch, 0, 2*len(rs))
	for _, r := range rs {
		begin := len(all)
		all = append(all, r.data...)
		data := all[begin:len(all):len(all)]
		for _, at := range r.uuids {
			copy(data[at:], uuid[:])
		}
		for _, at := range r.devices {
			copy(data[at:], device[:])
		}
		if r.sum != nil {
			r.sum(data)
		}
		if r.gap > 0 {
			patches = append(patches, Patch{r.off, data[:r.head:r.head]})
		}
		patches = append(patches, Patch{r.off + int64(r.head+r.gap), data[r.head:]})
	}
	return patches
}

// deviceID makes a second identity of id, so that no UUID is there twice.
func deviceID(id ID) ID {
	h := sha256.Sum256(append([]byte("device"), id[:]...))
	return ID(h[:len(ID{})])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
