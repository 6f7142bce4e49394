// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Tried are disks that package trial has left for the server. Each is for the first who makes one of
// its kind. Its methods may be called from any goroutine.
type Tried struct {
	mu  sync.Mutex
	fds map[string]int // by KindKey
}

// Add adds those that are left, by KindKey. It closes those of another user: before the fork
// the server may be root still (nbdkit -u), and some programs (mkfs.f2fs, mkfs.minix) give
// the root directory to whoever runs them.
func (t *Tried) Add(left map[string]int) {
	for key, fd := range left {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || int(st.Uid) != os.Geteuid() {
			unix.Close(fd)
			delete(left, key)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fds = left
}

// Close closes those that nobody has taken.
func (t *Tried) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fd := range t.fds {
		unix.Close(fd)
	}
	t.fds = nil
}

// take returns the descriptor of a disk as m makes them, or -1.
func (t *Tried) take(m *Maker) int {
	if t == nil {
		return -1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.fds) == 0 {
		return -1
	}
	key := KindKey(m.opts.Config, m.opts.Config.Size)
	fd, ok := t.fds[key]
	if !ok {
		return -1
	}
	delete(t.fds, key)
	return fd
}

// KindKey is the same for all that make the same disks of size bytes, of a built-in type,
// but for their identities.
func KindKey(c *config.Config, size int64) string {
	made := spec(c)
	made.Size = size
	k := sys.NewFieldHash()
	k.AddList(made.Script(), c.Label, strconv.FormatInt(size, 10))
	return k.String()
}

// CheckProgram returns an error if the program that makes the disks is not there.
func CheckProgram(c *config.Config) error {
	if programIdentity(mkfs.Program(c.Type)) == "" {
		return fmt.Errorf("parameter type: %s", mkfs.Missing(c.Type))
	}
	return nil
}

// Fits returns an error if no file can be as large as the disks. What else there is to say
// of TMPDIR, others do.
func (m *Maker) Fits() error {
	fd, err := sparse.Unnamed(m.opts.Dir, false)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if errors.Is(sys.Truncate(fd, m.opts.Config.Size), unix.EFBIG) {
		return m.tooLarge()
	}
	return nil
}

// Fills returns an error if the filesystem on d, of a built-in type, leaves a part of it
// unused.
func (m *Maker) Fills(d *disk.Disk) error {
	f, err := d.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return stamp.CheckSize(m.opts.Config.Type, m.opts.Config.Size, f)
}
