// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// File is one that is replaced as a whole: whoever opens it reads the old text or the
// new one, never a part. Of servers that share a path the last to write wins.
//
// A text is written under another name in the same directory, .NAME.DIGITS.tmp, so
// that neither nbdkit-tmpdisk-top nor node_exporter takes it for a finished one. It
// is locked as long as it is being written.
//
// Only one goroutine at a time may call the methods.
type File struct {
	path string
	mode os.FileMode
	ours os.FileInfo // of what was written last, nil if nothing was
}

// NewFile has no effect on the file at path, a symbolic link included, before Write.
// It removes what a server that died left while it wrote.
func NewFile(path string, mode os.FileMode) *File {
	f := &File{path: path, mode: mode}
	f.sweep()
	return f
}

const tmpSuffix = ".tmp"

func (f *File) tmpPrefix() string {
	return filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".")
}

// Write replaces the file. It does not sync: after a crash of the machine the
// text would be of no use. On errors the file is as it was.
func (f *File) Write(text []byte) error {
	err := f.replace(text)
	if errors.Is(err, fs.ErrNotExist) {
		// A server that starts may have swept the new file before it was locked.
		err = f.replace(text)
	}
	if err != nil {
		return fmt.Errorf("write: %s: %w", f.path, cause(err))
	}
	return nil
}

func (f *File) replace(text []byte) error {
	tmp := f.tmpPrefix() + sys.RandomName() + tmpSuffix
	file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := fill(file, text, f.mode)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(tmp, f.path)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	f.ours = info
	return nil
}

func fill(file *os.File, text []byte, mode os.FileMode) (os.FileInfo, error) {
	// Where there are no locks nobody sweeps.
	_ = sys.Flock(int(file.Fd()))
	if _, err := file.Write(text); err != nil {
		return nil, err
	}
	if err := file.Chmod(mode); err != nil { // whatever the umask
		return nil, err
	}
	return file.Stat()
}

// Remove removes the file if nobody has replaced it since Write.
func (f *File) Remove() error {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		// Filesystems soon use an inode's number again, but not its time.
		if !os.SameFile(info, f.ours) || !info.ModTime().Equal(f.ours.ModTime()) {
			return nil
		}
		err = os.Remove(f.path)
	}
	if err != nil {
		return fmt.Errorf("remove: %s: %w", f.path, cause(err))
	}
	return nil
}

// sweep removes unfinished files that nobody writes any more.
func (f *File) sweep() {
	entries, _ := os.ReadDir(filepath.Dir(f.path))
	prefix := filepath.Base(f.tmpPrefix())
	for _, entry := range entries {
		middle, ours := strings.CutPrefix(entry.Name(), prefix)
		middle, finished := strings.CutSuffix(middle, tmpSuffix)
		if ours && finished && len(middle) == len(sys.RandomName()) && entry.Type().IsRegular() {
			removeUnlocked(filepath.Join(filepath.Dir(f.path), entry.Name()))
		}
	}
}

func removeUnlocked(path string) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer file.Close()
	if sys.Flock(int(file.Fd())) == nil {
		os.Remove(path)
	}
}

// cause leaves out the name of the unfinished file, which is another each time.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
