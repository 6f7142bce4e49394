// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// exercise runs steps random requests against the disk and a model in memory.
func exercise(t *testing.T, d *Disk, steps int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	model := make([]byte, d.Size())
	if err := d.PRead(model, 0); err != nil {
		t.Error(err)
		return
	}
	buf := make([]byte, len(model))
	for step := range steps {
		off, count := span(rng, len(model))
		want, got := model[off:off+count], buf[:count]
		what, err := "", error(nil)
		switch rng.IntN(6) {
		case 0, 1:
			what = "write"
			for i := range want {
				want[i] = byte(rng.Uint32() | 1)
			}
			err = d.PWrite(want, uint64(off))
		case 2:
			what = "zero"
			clear(want)
			err = d.Zero(uint32(count), uint64(off), rng.IntN(2) == 0, false)
		case 3:
			what = "fast zero"
			if err = d.Zero(uint32(count), uint64(off), rng.IntN(2) == 0, true); err == nil {
				clear(want)
			} else {
				err = nil // then nothing may have changed
			}
		case 4:
			what = "trim"
			if err = d.Trim(uint32(count), uint64(off)); err == nil {
				err = d.PRead(got, uint64(off))
				for i := range want { // zeroes or what was there
					if got[i] == 0 {
						want[i] = 0
					}
				}
			}
		case 5:
			what = "extents"
			err = d.Extents(uint32(count), uint64(off), false, func(at, n uint64, hole bool) error {
				if hole && bytes.Count(model[at:at+n], []byte{0}) != int(n) {
					return fmt.Errorf("data called a hole: offset %d, count %d", at, n)
				}
				return nil
			})
		}
		if err == nil {
			err = d.PRead(got, uint64(off))
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("seed %d, step %d: %s, offset %d, count %d: got other data than the model's, error %v",
				seed, step, what, off, count, err)
			return
		}
	}
	if err := d.PRead(buf, 0); err != nil || !bytes.Equal(buf, model) {
		t.Errorf("seed %d: at the end: got other data than the model's, error %v", seed, err)
	}
}

// span favours small, and block-aligned, ranges.
func span(rng *rand.Rand, size int) (off, count int) {
	limit := 64 << 10
	if rng.IntN(10) == 0 {
		limit = size
	}
	off = rng.IntN(size)
	count = rng.IntN(min(limit, size-off) + 1)
	if rng.IntN(4) == 0 {
		off, count = off&^4095, count&^4095
	}
	return off, count
}

// Two disks at once, each with a model of its own, so they are apart too.
func exerciseTwo(t *testing.T, a, b *Disk) {
	var both sync.WaitGroup
	for _, d := range []*Disk{a, b} {
		both.Add(1)
		go func() {
			defer both.Done()
			exercise(t, d, 1000)
		}()
	}
	both.Wait()
}

const modelSize = 256<<10 + 12345 // ends within a block

func TestModelInTMPDIR(t *testing.T) {
	for _, c := range crippled {
		t.Run(c.name, func(t *testing.T) {
			a, b := blankDisk(t, t.TempDir(), modelSize), blankDisk(t, t.TempDir(), modelSize)
			c.do(a)
			c.do(b)
			exerciseTwo(t, a, b)
		})
	}
}

func TestModelOnTmpfs(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "tmpdisk-test-")
	if err != nil {
		t.Skip("needs /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exerciseTwo(t, blankDisk(t, dir, modelSize), blankDisk(t, dir, modelSize))
}

// loopDevice is a block device of size bytes that is gone after the test.
func loopDevice(t *testing.T, size int64, options ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to set up a loop device")
	}
	image := filepath.Join(t.TempDir(), "image")
	testkit.Must(t, os.WriteFile(image, nil, 0o600))
	testkit.Must(t, os.Truncate(image, size))
	out, err := exec.Command("losetup", append(options, "--find", "--show", image)...).CombinedOutput()
	if err != nil {
		t.Skipf("needs a loop device: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v: %s", device, err, out)
		}
	})
	return device
}

// linkedDisk is what a command leaves that links the disk to a device.
func linkedDisk(t *testing.T, device string) *Disk {
	t.Helper()
	link := filepath.Join(t.TempDir(), "disk")
	testkit.Must(t, os.Symlink(device, link))
	d, err := Open(link, testkit.Debug(t))
	testkit.Must(t, err)
	t.Cleanup(func() { closeDisk(t, d) })
	return d
}

func TestModelOnBlockDevice(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		t.Run(sector+" byte sectors", func(t *testing.T) {
			devices := []string{
				loopDevice(t, 256<<10, "--sector-size", sector),
				loopDevice(t, 256<<10, "--sector-size", sector),
			}
			var disks []*Disk
			for _, device := range devices {
				d := linkedDisk(t, device)
				if got := d.Size(); got != 256<<10 {
					t.Fatalf("got size %d, want %d", got, 256<<10)
				}
				disks = append(disks, d)
			}
			exerciseTwo(t, disks[0], disks[1])
		})
	}
}

func TestReadOnlyBlockDevice(t *testing.T) {
	device := loopDevice(t, 1<<20, "--read-only")
	d := linkedDisk(t, device)
	checkReadOnly(t, d)
}
