// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// templateFormat changes when what is kept in a template does.
const templateFormat = "nbdkit-tmpdisk template 1"

// Key names the content of the disks that are made here and now: 64 hexadecimal
// digits. It is made of everything known to decide the content: what runs, every
// variable and the file that it names, if it names one, and as whom. Two servers
// that differ in none of it share a template.
//
// Files are known by their inode, size and times, as make(1) knows them. What a
// command finds by itself (the network, the environment, files that it names
// in its text) is not looked at.
func (m *Maker) Key() string {
	c := m.opts.Config
	k := sys.NewFieldHash()
	k.AddList(templateFormat)
	k.AddList("uid", strconv.Itoa(os.Geteuid()))
	if c.CommandUsers != nil {
		k.AddList("users", c.CommandUsers.String())
	}
	k.AddList("size", strconv.FormatInt(c.Size, 10))
	if c.Command != "" {
		k.AddList("command", c.Command)
	} else {
		k.AddList("mkfs", spec(c).Script())
		k.AddList("program", programIdentity(mkfs.Program(c.Type)))
	}
	vars := slices.Clone(c.Variables)
	slices.SortFunc(vars, func(a, b config.Variable) int { return strings.Compare(a.Name, b.Name) })
	for _, v := range vars {
		k.AddList("variable", v.Name, v.Value, fileIdentity(v.Value))
	}
	return k.String()
}

// fileIdentity changes whenever the regular file at path does, and when path
// comes to stand for another block device, or one of another size; what is
// written to a device cannot be seen. It is "" for anything else, and if there
// is nothing. A directory's is "" too: its time says nothing about what is
// below.
//
// The time of the last change of the inode (ctime) is part of it because no
// program can set it back: a file that is written in place and given its old
// time of modification has changed nevertheless. The price is that a rename, a
// new or removed hard link, and a change of mode, owner or attributes count as
// changes too. Reading the file does not, nor does cloning it, by a reflink or
// otherwise. A command that makes a hard link of the file changes it with each
// run, so its disks are never kept as a template.
func fileIdentity(path string) string {
	var st unix.Stat_t
	if path == "" || len(path) >= unix.PathMax {
		return ""
	}
	if err := sys.Retry(func() error { return unix.Stat(path, &st) }); err != nil {
		return ""
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return fmt.Sprintf("dev %d inode %d size %d mtime %d.%09d ctime %d.%09d",
			st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
	case unix.S_IFBLK:
		return fmt.Sprintf("block device %d size %d", st.Rdev, deviceSize(path))
	}
	return ""
}

// deviceSize is -1 if it cannot be known.
func deviceSize(path string) int64 {
	fd, err := sys.Openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	size, err := sys.Seek(fd, 0, unix.SEEK_END)
	if err != nil {
		return -1
	}
	return size
}

// programIdentity is that of the program that mkfs's script runs: another version
// may make another filesystem.
func programIdentity(name string) string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":/usr/bin:/bin:" + mkfs.Path) {
		if id := fileIdentity(filepath.Join(dir, name)); id != "" {
			return id
		}
	}
	return ""
}
