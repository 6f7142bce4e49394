// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// File is one that is replaced as a whole: whoever opens it reads the old text or the
// new one, never a part. Of servers that share a path the last to write wins.
//
// A text is written to a temporary file first, .NAME.tmp.RANDOM (see package privdir),
// which neither nbdkit-tmpdisk-top nor node_exporter takes for a finished one.
//
// Only one goroutine at a time may call the methods.
type File struct {
	path string
	mode os.FileMode
	ours os.FileInfo // of what was written last, nil if nothing was
}

// NewFile has no effect on the file at path, a symbolic link included, before Write.
func NewFile(path string, mode os.FileMode) *File {
	return &File{path: path, mode: mode}
}

// Sweep removes unfinished files of servers that died while they wrote.
func (f *File) Sweep() {
	dir, err := privdir.Shared(filepath.Dir(f.path))
	if err != nil {
		return // the first Write says so
	}
	defer dir.Close()
	names, _ := dir.Names()
	for _, name := range names {
		if prefix, ok := privdir.SplitTemp(name); ok && prefix == f.prefix() {
			_ = dir.SweepTemp(name) // it harms nobody
		}
	}
}

func (f *File) prefix() string { return "." + filepath.Base(f.path) }

// Write replaces the file. It does not sync: after a crash of the machine the
// text would be of no use. On errors the file is as it was.
func (f *File) Write(text []byte) error {
	if err := f.replace(text); err != nil {
		// Not the name of the unfinished file, which is another each time.
		return fmt.Errorf("write: %s: %w", f.path, sys.Cause(err))
	}
	return nil
}

func (f *File) replace(text []byte) error {
	dir, err := privdir.Shared(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	file, _, err := dir.Temp(f.prefix())
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(text)
	if err == nil {
		err = file.Chmod(f.mode) // whatever the umask
	}
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		dir.Discard(file)
		return err
	}
	if err = dir.Publish(file, filepath.Base(f.path), false); err == nil {
		f.ours = info
	}
	return err
}

// Remove removes the file if nobody has replaced it since Write.
func (f *File) Remove() error {
	info, err := os.Lstat(f.path)
	if err == nil {
		// Filesystems soon use an inode's number again, but not its time.
		if !os.SameFile(info, f.ours) || !info.ModTime().Equal(f.ours.ModTime()) {
			return nil
		}
		err = os.Remove(f.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %s: %w", f.path, sys.Cause(err))
	}
	return nil
}

// maxName leaves room for what an unfinished file's name has besides.
const maxName = 200

// Check finds out without a side effect whether a File can be written at path, as
// far as that can be known. Its errors do not name the parameter.
func Check(path string) error {
	// Replacing a link to a device, as /dev/stdout is, or the device itself, is
	// never meant.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file: name a file, which will be replaced", path)
	}
	if name := filepath.Base(path); len(name) > maxName {
		return fmt.Errorf("%.40q...: a name of %d bytes: give one of at most %d", name, len(name), maxName)
	}
	return privdir.CheckDir(filepath.Dir(path))
}

// CheckMetrics is Check for a file that node_exporter is to read.
func CheckMetrics(path string) error {
	if name := filepath.Base(path); filepath.Ext(name) != ".prom" || name == ".prom" {
		return fmt.Errorf("%s: the name must end in .prom: node_exporter reads no others", path)
	}
	return Check(path)
}
