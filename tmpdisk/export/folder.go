// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A folder is the directory, open, which has passed the test.
type folder struct {
	*os.File
	id identity
}

func openFolder(path string) (folder, error) {
	fd, err := sys.Openat(unix.AT_FDCWD, path, sys.OpenDir&^unix.O_NOFOLLOW)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return folder{}, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return folder{}, fmt.Errorf("%s: %w: name a directory that user %d can read", path, err, os.Geteuid())
	}
	o := folder{File: os.NewFile(uintptr(fd), path)}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = privdir.Others(&st)
	}
	if err != nil {
		o.Close()
		return folder{}, fmt.Errorf("%s: %w", path, err)
	}
	o.id = identityOf(&st)
	return o, nil
}

// names lists NAME of all NAME.conf, sorted, good names or not. Editors leave
// files that begin with a dot.
func (o folder) names() ([]string, error) {
	all, err := o.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var names []string
	for _, file := range all {
		if name, ok := strings.CutSuffix(file, suffix); ok && file[0] != '.' {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// has is whether there is such a file, or a symbolic link that leads nowhere. It
// is true if that cannot be known.
func (o folder) has(file string) bool {
	_, err := stat(int(o.Fd()), file, unix.AT_SYMLINK_NOFOLLOW)
	return !errors.Is(err, unix.ENOENT)
}

// errBusy says that a file was written to while it was read.
var errBusy = errors.New("changed while it was read: try again")

// read returns the text of a file that passes the test, and which version it is.
// The error wraps ENOENT if there is no such file, or a link to nothing.
func (o folder) read(file string) ([]byte, identity, error) {
	f, id, err := o.open(file)
	if err != nil {
		return nil, identity{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, id.Size+1))
	if err != nil {
		return nil, identity{}, err
	}
	var after unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &after); err != nil {
		return nil, identity{}, err
	}
	if int64(len(text)) != id.Size || identityOf(&after) != id {
		return nil, identity{}, errBusy
	}
	return text, id, nil
}

func (o folder) open(file string) (*os.File, identity, error) {
	dirfd := int(o.Fd())
	// Opening something other than a file may have side effects.
	st, err := stat(dirfd, file, 0)
	switch {
	case err == nil:
		err = checkFile(&st)
	case errors.Is(err, unix.ENOENT) && o.has(file):
		err = fmt.Errorf("%w: this is where its symbolic link leads", err)
	}
	if err != nil {
		return nil, identity{}, err
	}
	fd, err := sys.Openat(dirfd, file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return nil, identity{}, fmt.Errorf("open as user %d: %w", os.Geteuid(), err)
	}
	if err = unix.Fstat(fd, &st); err == nil {
		err = checkFile(&st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, identity{}, err
	}
	return os.NewFile(uintptr(fd), file), identityOf(&st), nil
}

func checkFile(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file: remove it, or name it otherwise")
	case st.Size > maxFile:
		return fmt.Errorf("%d bytes are too many for settings: a file has at most %d", st.Size, maxFile)
	}
	return privdir.Others(st)
}
