// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// treeType is one of the types whose metadata keep the mold's UUID.
type treeType struct {
	fsType, program, labelOption string
	options                      []string
	check                        []string
}

var treeTypes = []treeType{
	{"xfs", "mkfs.xfs", "-L", []string{"-q", "-f", "-K"}, []string{"xfs_repair", "-n", "-f"}},
	{"btrfs", "mkfs.btrfs", "-L", []string{"-q", "-f", "-K"}, []string{"btrfs", "check", "--readonly"}},
	{"f2fs", "mkfs.f2fs", "-l", []string{"-f", "-t", "0"}, []string{"fsck.f2fs", "--dry-run"}},
}

func treeTypeOf(t testing.TB, fsType string) treeType {
	t.Helper()
	for _, tt := range treeTypes {
		if tt.fsType == fsType {
			return tt
		}
	}
	t.Fatalf("no type %s", fsType)
	return treeType{}
}

// treeProgram finds programs that an ordinary user's PATH lacks.
func treeProgram(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Skip("needs ", name)
	return ""
}

// treeRun runs a program, whose name is args[0], and wants it to succeed.
func treeRun(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(treeProgram(t, args[0]), args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// makeTree makes a filesystem with options besides those of the type.
func makeTree(t testing.TB, tt treeType, size int64, options ...string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), tt.fsType))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Skipf("needs a filesystem that holds files of %d bytes: %v", size, err)
	}
	args := append([]string{tt.program}, tt.options...)
	treeRun(t, append(append(args, options...), f.Name())...)
	return f
}

// stampTree gives f another identity.
func stampTree(t testing.TB, fsType string, f *os.File, id mkfs.ID) {
	t.Helper()
	for _, p := range newTreeStamp(t, fsType, f).Patches(id) {
		if _, err := f.WriteAt(p.Data, p.Off); err != nil {
			t.Fatal(err)
		}
	}
}

func newTreeStamp(t testing.TB, fsType string, f *os.File) mkfs.Stamp {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := mkfs.NewStamp(fsType, st.Size(), f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// treeUUID is id as a UUID is written, version 4.
func treeUUID(id mkfs.ID) string {
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func TestTreeStampsAreCleanAndSeen(t *testing.T) {
	const m, g = int64(1) << 20, int64(1) << 30
	cases := []struct {
		fsType  string
		size    int64
		options string
	}{
		{"xfs", 300 * m, ""},
		{"xfs", 301*m + 12345, ""},
		{"xfs", g, ""},
		{"xfs", 16 * g, ""},
		{"xfs", 256*g + 7777777, ""},
		{"xfs", 16<<40 - 4096, ""}, // ext4 holds no more
		{"xfs", g, "-s size=4096"},
		{"xfs", g, "-d su=64k,sw=2 -l su=32k"},
		{"xfs", g, "-b size=1024 -m rmapbt=1 -i nrext64=1"},
		{"xfs", g, "-m reflink=0,finobt=0,inobtcount=0,bigtime=0 -i nrext64=0,sparse=0"},
		{"btrfs", 16 * m, "--mixed"},
		{"btrfs", 109 * m, ""},
		{"btrfs", 110*m + 12345, ""},
		{"btrfs", g, ""},
		{"btrfs", 16 * g, ""},
		{"btrfs", 256*g + 4096, ""}, // just room for the third superblock
		{"btrfs", 257*g + 7777777, ""},
		{"btrfs", 16<<40 - 4096, ""},
		{"btrfs", g, "-m single"},
		{"btrfs", g, "-O ^no-holes -R ^free-space-tree -n 65536"},
		{"f2fs", 52 * m, ""},
		{"f2fs", 99*m + 12345, ""},
		{"f2fs", g, ""},
		{"f2fs", 16 * g, ""},
		{"f2fs", 256*g + 7777777, ""},
		{"f2fs", 15 << 40, ""},
		{"f2fs", g, "-O extra_attr,sb_checksum,project_quota,inode_crtime,lost_found,encrypt,verity,compression,flexible_inline_xattr"},
	}
	for _, c := range cases {
		tt := treeTypeOf(t, c.fsType)
		for _, label := range []string{"", "größe"} {
			t.Run(fmt.Sprintf("%s %d %s %s", c.fsType, c.size, c.options, label), func(t *testing.T) {
				options := strings.Fields(c.options)
				if label != "" {
					options = append(options, tt.labelOption, label)
				}
				f := makeTree(t, tt, c.size, options...)
				var id mkfs.ID
				rand.Read(id[:])
				stampTree(t, c.fsType, f, id)
				// fsck.f2fs takes 14 s for 15 TiB (and finds them clean).
				if label == "" && (c.size < 1<<40 || c.fsType != "f2fs") || c.size < 256*g {
					treeRun(t, append(tt.check, f.Name())...)
				}
				for tag, want := range map[string]string{"TYPE": c.fsType, "LABEL": label, "UUID": treeUUID(id)} {
					out, _ := exec.Command(treeProgram(t, "blkid"), "-p", "-o", "value", "-s", tag, f.Name()).Output()
					if got := strings.TrimSuffix(string(out), "\n"); got != want {
						t.Errorf("blkid %s: got %q, want %q", tag, got, want)
					}
				}
			})
		}
	}
}

// What is stamped is a mold again, and stamping it the same way changes nothing.
func TestTreeStampTwice(t *testing.T) {
	for _, tt := range treeTypes {
		t.Run(tt.fsType, func(t *testing.T) {
			f := makeTree(t, tt, 1<<30)
			id := mkfs.ID{1, 2, 3}
			stampTree(t, tt.fsType, f, id)
			for _, p := range newTreeStamp(t, tt.fsType, f).Patches(id) {
				got := make([]byte, len(p.Data))
				if _, err := f.ReadAt(got, p.Off); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, p.Data) {
					t.Errorf("%d bytes at %d: changed by the same identity", len(got), p.Off)
				}
			}
		})
	}
}

func TestTreeStampsDiffer(t *testing.T) {
	for _, tt := range treeTypes {
		t.Run(tt.fsType, func(t *testing.T) {
			f := makeTree(t, tt, 1<<30)
			s := newTreeStamp(t, tt.fsType, f)
			seen := map[string]bool{}
			for i := range 1000 {
				var id mkfs.ID
				rand.Read(id[:])
				for _, p := range s.Patches(id) {
					if _, err := f.WriteAt(p.Data, p.Off); err != nil {
						t.Fatal(err)
					}
				}
				for _, at := range treeUUIDs[tt.fsType] {
					uuid := make([]byte, 16)
					if _, err := f.ReadAt(uuid, at); err != nil {
						t.Fatal(err)
					}
					if seen[string(uuid)] {
						t.Fatalf("disk %d: got UUID %x at %d twice", i, uuid, at)
					}
					seen[string(uuid)] = true
				}
			}
		})
	}
}

// treeUUIDs are where the UUID, and btrfs's of the device, are on the disk.
var treeUUIDs = map[string][]int64{"xfs": {32}, "btrfs": {64<<10 + 32, 64<<10 + 267}, "f2fs": {1024 + 108}}

func TestTreeStampRefuses(t *testing.T) {
	cases := []struct {
		name, fsType string
		options      string
		off          int64
		bytes        string
		want         string
	}{
		{"xfs version 4", "xfs", "-m crc=0", 0, "", "version 0xb4a4"},
		{"xfs case-insensitive names", "xfs", "-n version=ci", 0, "", "version 0xf4a5"},
		{"xfs magic", "xfs", "", 0, "Y", "no superblock"},
		{"xfs checksum", "xfs", "", 150, "x", "checksum"},
		{"xfs unknown feature", "xfs", "", 218, "\x01", "incompat"},
		{"xfs second superblock", "xfs", "", 1<<28 + 110, "x", "superblocks differ"},
		{"xfs second superblock's checksum", "xfs", "", 1<<28 + 150, "x", "checksum"},
		{"xfs log on another device", "xfs", "", 48, "\x00\x00\x00\x00\x00\x00\x00\x00", "log at 0x0"},
		{"btrfs magic", "btrfs", "", 64<<10 + 64, "X", "no superblock"},
		{"btrfs checksum", "btrfs", "", 64 << 10, "abcd", "wrong superblock at 65536"},
		{"btrfs xxhash", "btrfs", "--csum xxhash", 0, "", "checksums of type 1"},
		{"btrfs unknown feature", "btrfs", "", 64<<10 + 190, "\x01", "incompat 0x10341"},
		{"btrfs second superblock", "btrfs", "", 64<<20 + 300, "x", "wrong superblock at 67108864"},
		{"btrfs chunk tree", "btrfs", "", 22036480 + 200, "x", "wrong checksum of the chunk tree"},
		{"btrfs chunk tree's second copy", "btrfs", "", 30408704 + 16384 + 200, "x", "copies of the chunk tree differ"},
		{"f2fs magic", "f2fs", "", 1024, "X", "no superblock"},
		{"f2fs inode checksums", "f2fs", "-O extra_attr,inode_checksum", 0, "", "features 0x28"},
		{"f2fs checksums", "f2fs", "-O extra_attr,sb_checksum", 1024 + 32, "\x00\x00\x00\x00", "superblocks differ"},
		{"f2fs second superblock", "f2fs", "", 4096 + 1024 + 130, "x", "superblocks differ"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := makeTree(t, treeTypeOf(t, c.fsType), 1<<30, strings.Fields(c.options)...)
			if _, err := f.WriteAt([]byte(c.bytes), c.off); err != nil {
				t.Fatal(err)
			}
			s, err := mkfs.NewStamp(c.fsType, 1<<30, f)
			if !errors.Is(err, mkfs.ErrNotUnderstood) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %q, not understood", s, err, c.want)
			}
		})
	}
}

func BenchmarkTreePatches(b *testing.B) {
	for _, tt := range treeTypes {
		b.Run(tt.fsType, func(b *testing.B) {
			s := newTreeStamp(b, tt.fsType, makeTree(b, tt, 16<<30))
			b.ReportAllocs()
			for i := range b.N {
				s.Patches(mkfs.ID{byte(i), byte(i >> 8)})
			}
		})
	}
}
