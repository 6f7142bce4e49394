// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// A moldCase is one way to make a filesystem, as the plugin does it.
type moldCase struct {
	fsType string
	size   int64
	args   []string // the program first
	label  string   // "" is none
}

// moldFeatures are those that the plugin asks for.
const moldFeatures = "metadata_csum,metadata_csum_seed"

// moldArgs are the programs of the plugin's table, with its options.
func moldArgs(fsType string, size int64) []string {
	switch fsType {
	case "ext4":
		return []string{"mkfs.ext4", "-q", "-F", "-O", moldFeatures, "-E", "nodiscard"}
	case "ext2", "ext3":
		return []string{"mkfs." + fsType, "-q", "-F", "-E", "nodiscard"}
	case "vfat", "fat", "msdos":
		return []string{"mkfs.fat"}
	case "exfat":
		if size < 4*mib {
			return []string{"mkfs.exfat", "-b", "64K"}
		}
		return []string{"mkfs.exfat"}
	case "ntfs":
		return []string{"mkfs.ntfs", "-q", "-F", "-Q"}
	case "minix":
		if size > 64*mib {
			return []string{"mkfs.minix", "-3", "-i", "65535"}
		}
		return []string{"mkfs.minix"}
	default:
		return []string{"mkswap"}
	}
}

func labelOption(fsType string) string {
	if fsType == "vfat" || fsType == "fat" || fsType == "msdos" {
		return "-n"
	}
	return "-L"
}

// toolPath skips the test where a program is missing. An ordinary user's PATH
// often lacks the sbin directories.
func toolPath(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skip("needs ", name)
	return ""
}

func runTool(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(toolPath(t, name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newImage is an empty sparse file in memory: not every filesystem has files
// of 16 TiB, and tmpfs does.
func newImage(t testing.TB, size int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("image", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

// newMold runs mkfs. more are further options.
func newMold(t testing.TB, c moldCase, more ...string) *os.File {
	t.Helper()
	f := newImage(t, c.size)
	args := c.args
	if args == nil {
		args = moldArgs(c.fsType, c.size)
	}
	args = append(append([]string{}, args...), more...)
	if c.label != "" {
		args = append(args, labelOption(c.fsType), c.label)
	}
	if out, err := runTool(t, args[0], append(args[1:], f.Name())...); err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	return f
}

func mustStamp(t testing.TB, fsType string, size int64, image io.ReaderAt) Stamp {
	t.Helper()
	s, err := NewStamp(fsType, size, image)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustApply writes patches, and checks that they are as promised.
func mustApply(t testing.TB, image io.WriterAt, size int64, patches []Patch) {
	t.Helper()
	var end int64
	for _, p := range patches {
		if p.Off < end || p.Off+int64(len(p.Data)) > size || len(p.Data) == 0 {
			t.Fatalf("got a patch of %d bytes at %d, want it from %d on and below %d", len(p.Data), p.Off, end, size)
		}
		end = p.Off + int64(len(p.Data))
		if _, err := image.WriteAt(p.Data, p.Off); err != nil {
			t.Fatal(err)
		}
	}
}

// idOf is a different ID for each n, always the same one.
func idOf(n int) ID {
	sum := sha256.Sum256(fmt.Appendf(nil, "identity %d", n))
	return ID(sum[:16])
}

// dataRuns calls each with the parts of f that are not holes.
func dataRuns(t testing.TB, f *os.File, each func(off int64, data []byte)) {
	t.Helper()
	for off := int64(0); ; {
		start, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if off, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, off-start)
		if _, err := f.ReadAt(data, start); err != nil {
			t.Fatal(err)
		}
		each(start, data)
	}
}

// wholeImage is a small image as bytes that a test may change.
func wholeImage(t testing.TB, f *os.File) []byte {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, info.Size())
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// byteImage is bytes that can be read and written.
type byteImage []byte

func (b byteImage) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(b).ReadAt(p, off) }
func (b byteImage) WriteAt(p []byte, off int64) (int, error) {
	return copy(b[off:], p), nil
}

// wantUUID is what blkid shows of a disk with that identity.
func wantUUID(fsType string, id ID) string {
	switch fsType {
	case "vfat", "fat", "msdos", "exfat":
		return fmt.Sprintf("%02X%02X-%02X%02X", id[3], id[2], id[1], id[0])
	case "ntfs":
		return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(id[:]))
	case "minix":
		return ""
	default:
		return dashed(uuidOf(id))
	}
}

func dashed(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
