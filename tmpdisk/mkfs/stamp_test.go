// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

const odd = 1234567 // bytes, a multiple of nothing

// stampSizes has the smallest that each mkfs takes, and what is large for it.
var stampSizes = []struct {
	fsTypes, label string
	smallest       int64
	sizes          []int64
}{
	{"ext2 ext3", "0123456789abcdef", 104 * kib, []int64{mib + odd, gib, gib + odd, 16 * gib}},
	{"ext3", "", 4 * mib, []int64{256 * gib}},
	{"ext4", "größe", 104 * kib, []int64{mib + odd, 8 * mib, gib, gib + odd, 16 * gib, 256 * gib, 16 * tib}},
	{"swap", "0123456789abcde", 40 * kib, []int64{mib + odd, gib, 16 * gib, 256 * gib, 16 * tib}},
	{"fat vfat msdos", "LABEL", 50 * kib, []int64{mib + odd, 64 * mib}},
	{"vfat", "LABEL", gib, []int64{gib + odd, 16 * gib, 256 * gib, 16 * tib}},
	// With less than 160 KiB mkfs.exfat puts the root directory behind the end.
	{"exfat", "größe", 160 * kib, []int64{mib + odd, gib, gib + odd, 16 * gib, 256 * gib, 16 * tib}},
	{"ntfs", "größe", 1025 * kib, []int64{mib + odd, gib, gib + odd, 16 * gib, 256 * gib, 16 * tib}},
	{"minix", "", 10 * kib, []int64{mib + odd, 64 * mib, gib, gib + odd, 16 * gib, 256 * gib}},
}

var stampCheckers = map[string][][]string{
	"ext2":  {{"e2fsck", "-fn"}},
	"ext3":  {{"e2fsck", "-fn"}},
	"ext4":  {{"e2fsck", "-fn"}},
	"vfat":  {{"fsck.fat", "-n"}},
	"fat":   {{"fsck.fat", "-n"}},
	"msdos": {{"fsck.fat", "-n"}},
	"exfat": {{"fsck.exfat", "-n"}},
	"ntfs":  {{"ntfsfix", "-n"}, {"ntfsinfo", "-fm"}},
	"minix": {{"fsck.minix", "-f"}},
}

func TestStamp(t *testing.T) {
	for _, c := range stampSizes {
		for _, fsType := range strings.Fields(c.fsTypes) {
			for _, size := range append([]int64{c.smallest}, c.sizes...) {
				t.Run(fmt.Sprintf("%s %d", fsType, size), func(t *testing.T) {
					checkStamp(t, moldCase{fsType: fsType, size: size})
				})
			}
			if c.label != "" {
				t.Run(fsType+" with label", func(t *testing.T) {
					checkStamp(t, moldCase{fsType: fsType, size: c.sizes[0], label: c.label})
				})
			}
		}
	}
}

// Formats that the plugin does not ask for, but mke2fs.conf may, and pages and
// sectors of other machines.
func TestStampOtherFormats(t *testing.T) {
	cases := []struct {
		fsType string
		size   int64
		args   string
	}{
		{"ext4", gib, "mkfs.ext4 -q -F -b 1024 -O " + moldFeatures},
		{"ext4", gib, "mkfs.ext4 -q -F -b 2048 -O " + moldFeatures},
		{"ext4", gib, "mkfs.ext4 -q -F -b 1024 -O meta_bg,^resize_inode," + moldFeatures},
		{"ext4", gib, "mkfs.ext4 -q -F -O orphan_file," + moldFeatures},
		{"ext4", gib, "mkfs.ext4 -q -F -O ^metadata_csum,^uninit_bg"},
		{"ext4", gib, "mkfs.ext4 -q -F -O ^has_journal," + moldFeatures},
		{"ext4", gib, "mkfs.ext4 -q -F -g 1024 -O ^sparse_super,^resize_inode," + moldFeatures},
		{"ext3", 256 * mib, "mkfs.ext3 -q -F -b 1024 -J size=64"},
		{"ext4", 64 * gib, "mkfs.ext4 -q -F -g 4096 -O ^flex_bg,^resize_inode," + moldFeatures},
		{"swap", mib, "mkswap -p 65536"},
		{"vfat", 64 * mib, "mkfs.fat -F 32 -S 4096"},
		{"vfat", 64 * mib, "mkfs.fat -F 32 -b 9 -R 32 -f 1"},
		{"vfat", 64 * mib, "mkfs.fat -F 16 -S 2048"},
		{"ntfs", 64 * mib, "mkfs.ntfs -q -F -Q -s 4096"},
		{"ntfs", 64 * mib, "mkfs.ntfs -q -F -Q -c 65536"},
		{"ntfs", 64 * mib, "mkfs.ntfs -q -F -Q -c 131072"},
		{"ntfs", 64 * mib, "mkfs.ntfs -q -F -Q -c 512"},
		{"minix", mib, "mkfs.minix -2 -n 14"},
		{"minix", mib, "mkfs.minix -2 -n 30"},
		{"minix", mib, "mkfs.minix -1 -n 14"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			checkStamp(t, moldCase{fsType: c.fsType, size: c.size, args: strings.Fields(c.args)})
		})
	}
}

func checkStamp(t *testing.T, c moldCase) {
	f := newMold(t, c)
	id := idOf(1)
	before := identities(t, f, c.fsType)
	mustApply(t, f, c.size, mustStamp(t, c.fsType, c.size, f).Patches(id))
	mustStamp(t, c.fsType, c.size, f)
	if c.fsType != "ntfs" || c.size <= 16*gib { // too much to read
		wantNowhere(t, f, before)
	}
	fsType := c.fsType
	switch {
	case fsType == "fat" || fsType == "msdos":
		fsType = "vfat"
	case fsType == "ext3" && c.size < 2*mib:
		fsType = "ext2" // has no room for a journal
	}
	for tag, want := range map[string]string{"TYPE": fsType, "LABEL": c.label, "UUID": wantUUID(c.fsType, id)} {
		out, err := runTool(t, "blkid", "-p", "-o", "value", "-s", tag, f.Name())
		if got := strings.TrimSuffix(out, "\n"); got != want || (err != nil && want != "") {
			t.Errorf("blkid %s: got %q (%v), want %q", tag, got, err, want)
		}
	}
	for _, check := range stampCheckers[c.fsType] {
		if out, err := runTool(t, check[0], append(check[1:], f.Name())...); err != nil {
			t.Errorf("%q: %v: %s", check, err, out)
		}
	}
}

// identities are those that are too long to be anywhere by chance.
func identities(t *testing.T, f *os.File, fsType string) [][]byte {
	t.Helper()
	var at [][2]int64
	switch fsType {
	case "ext2", "ext3", "ext4":
		at = [][2]int64{{extSuperLength + extUUID, 16}, {extSuperLength + extHashSeed, 16}}
	case "swap":
		at = [][2]int64{{swapUUID, 16}}
	case "ntfs":
		at = [][2]int64{{ntfsSerial, 8}}
	}
	var found [][]byte
	for _, a := range at {
		p := make([]byte, a[1])
		if _, err := f.ReadAt(p, a[0]); err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

func wantNowhere(t *testing.T, f *os.File, identities [][]byte) {
	t.Helper()
	dataRuns(t, f, func(off int64, data []byte) {
		for _, identity := range identities {
			if at := bytes.Index(data, identity); at >= 0 {
				t.Errorf("got the mold's %x at %d, want it nowhere", identity, off+int64(at))
			}
		}
	})
}

// Each identity is another one, and so is each hash seed.
func TestStampIsUnique(t *testing.T) {
	for _, c := range stampSizes {
		for _, fsType := range strings.Fields(c.fsTypes) {
			if fsType == "minix" {
				continue // has no identity
			}
			t.Run(fsType, func(t *testing.T) {
				s := mustStamp(t, fsType, c.smallest, newMold(t, moldCase{fsType: fsType, size: c.smallest}))
				seen := map[string]int{}
				for n := range 1000 {
					data := string(s.Patches(idOf(n))[0].Data)
					if strings.HasPrefix(fsType, "ext") {
						uuid, seed := data[extUUID:][:16], data[extHashSeed:][:16]
						if m, ok := seen[seed]; ok {
							t.Errorf("got the seed %x for %d and %d", seed, m, n)
						}
						data = uuid
						seen[seed] = n
					}
					if m, ok := seen[data]; ok {
						t.Errorf("got %x for %d and %d", data, m, n)
					}
					seen[data] = n
				}
			})
		}
	}
}

// The caller may change what it got.
func TestPatchesAreTheCallers(t *testing.T) {
	for _, fsType := range []string{"ext4", "swap", "vfat", "exfat", "ntfs", "minix"} {
		t.Run(fsType, func(t *testing.T) {
			size := 8 * mib
			s := mustStamp(t, fsType, size, newMold(t, moldCase{fsType: fsType, size: size}))
			want := fmt.Sprint(s.Patches(idOf(1)))
			for _, p := range s.Patches(idOf(1)) {
				clear(p.Data)
			}
			if got := fmt.Sprint(s.Patches(idOf(1))); got != want {
				t.Errorf("got other patches after the first were overwritten")
			}
		})
	}
}

func TestUUIDIsRandom(t *testing.T) {
	const want = "ffffffff-ffff-4fff-bfff-ffffffffffff"
	var id ID
	for i := range id {
		id[i] = 0xff
	}
	if got := dashed(uuidOf(id)); got != want {
		t.Errorf("got %s, want %s, version 4", got, want)
	}
}

func TestSerialIsNeverZero(t *testing.T) {
	cases := []struct {
		name string
		id   ID
		want []byte
	}{
		{"first four bytes", ID{1, 2, 3, 4, 5}, []byte{1, 2, 3, 4}},
		{"the next that are not zero", ID{5: 9}, []byte{0, 9, 0, 0}},
		{"all zero", ID{}, []byte{1, 0, 0, 0}},
	}
	for _, c := range cases {
		if got := serial32(c.id); !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %x, want %x", c.name, got, c.want)
		}
	}
}

// An independent reader finds a backup superblock right, checksum included.
func TestExtBackupByDumpe2fs(t *testing.T) {
	f := newMold(t, moldCase{fsType: "ext4", size: gib})
	id := idOf(1)
	mustApply(t, f, gib, mustStamp(t, "ext4", gib, f).Patches(id))
	for _, block := range []string{"32768", "98304", "163840", "229376"} {
		out, err := runTool(t, "dumpe2fs", "-h", "-o", "superblock="+block, "-o", "blocksize=4096", f.Name())
		if err != nil || !strings.Contains(out, wantUUID("ext4", id)) || strings.Contains(out, "hecksum error") {
			t.Errorf("superblock at %s: got %v: %s", block, err, out)
		}
	}
}

// With such labels the number that ends each 512 bytes of a record stands in
// the middle of an attribute's header.
func TestNtfsLabelsAcrossSectors(t *testing.T) {
	for _, n := range []int{38, 58} {
		checkStamp(t, moldCase{fsType: "ntfs", size: 2 * mib, label: strings.Repeat("x", n)})
	}
}
