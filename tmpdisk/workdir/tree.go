// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// maxOpen is how many levels of directories a removal has open at once, at
// most. The server's descriptors are for its clients, and a command can make a
// tree that is deeper than any limit on them.
const maxOpen = 16

// remover removes one tree. It goes by descriptors only, follows no symbolic
// link, and enters no mount: a mount that a killed command left here is
// detached instead.
type remover struct {
	top   int  // the tree's directory
	moved bool // into top, which therefore must be read again
	until time.Time
}

// removePatience is how long a tree may grow while it is removed: somebody
// else can own a part of it, if a command has let them in.
const removePatience = 10 * time.Second

// removeTree empties the directory that fd is open on and removes it as name
// in dirfd.
func removeTree(dirfd int, name string, fd int) error {
	r := &remover{top: fd, until: time.Now().Add(removePatience)}
	return r.tree(dirfd, name, fd, 1)
}

// tree empties and removes a directory that is depth levels deep; top's depth is 1.
// A process that is just dying may still add files, so a directory that is not
// empty after all is emptied again, a few times.
func (r *remover) tree(dirfd int, name string, fd, depth int) error {
	var err error
	for tries := 0; tries < 10; tries++ {
		var held bool
		held, err = r.contents(fd, depth)
		if fd == r.top && r.moved && time.Now().Before(r.until) {
			// Each time the tree is less deep by about maxOpen levels.
			r.moved, tries = false, 0
			continue
		}
		if err != nil {
			return err
		}
		err = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR)
		// Something mounted on the tree's own directory.
		for errors.Is(err, unix.EBUSY) && unmount(dirfd, name) == nil {
			err = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR)
		}
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
			return err
		}
		if held {
			return ErrHeld
		}
	}
	return err
}

// contents deletes everything in the directory that fd is open on. It goes on
// after an error so that one undeletable file keeps as little as possible. held
// says that there was nothing but names that stand for removed files.
func (r *remover) contents(fd, depth int) (held bool, err error) {
	// As an ordinary user a directory that the command made read-only
	// cannot be emptied. If this fails the unlinks say why.
	unix.Fchmod(fd, modePrivate)
	dup, err := sys.Openat(fd, ".", sys.OpenDir)
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(dup), "")
	names, err := f.Readdirnames(-1)
	f.Close()
	if errors.Is(err, unix.ENOENT) {
		return false, nil // it is gone, and was empty
	}
	if err != nil {
		return false, err
	}
	held = len(names) > 0
	var first error
	for _, name := range names {
		held = held && sys.StandsForRemoved(name)
		err := r.entry(fd, name, depth)
		// ErrHeld must not hide what stays for good.
		if err != nil && (first == nil || errors.Is(first, ErrHeld)) {
			first = fmt.Errorf("%s: %w", name, err)
		}
	}
	return held, first
}

// entry deletes name in dirfd, a directory that is depth levels deep.
func (r *remover) entry(dirfd int, name string, depth int) error {
	err := unix.Unlinkat(dirfd, name, 0)
	// A file with something mounted on it, or several things.
	for errors.Is(err, unix.EBUSY) && unmount(dirfd, name) == nil {
		err = unix.Unlinkat(dirfd, name, 0)
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EBUSY) && sys.StandsForRemoved(name) {
		return ErrHeld // NFS does not rename it once more, as FUSE does
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	fd, openErr := sys.OpenBeneath(dirfd, name)
	for errors.Is(openErr, unix.EXDEV) {
		if openErr = unmount(dirfd, name); openErr == nil {
			fd, openErr = sys.OpenBeneath(dirfd, name)
		}
	}
	if errors.Is(openErr, unix.EACCES) {
		// The command took its own directory's permissions away.
		if openErr = unix.Fchmodat(dirfd, name, modePrivate, 0); openErr == nil {
			fd, openErr = sys.OpenBeneath(dirfd, name)
		}
	}
	if errors.Is(openErr, unix.ENOTDIR) {
		return err // EPERM, and not a directory: an immutable file
	}
	if openErr != nil {
		return openErr
	}
	defer unix.Close(fd)
	if depth >= maxOpen && r.move(dirfd, name, fd) {
		return nil
	}
	return r.tree(dirfd, name, fd, depth+1)
}

// move makes name in dirfd, which fd is open on, an entry of the tree's own
// directory, where it is met again.
func (r *remover) move(dirfd int, name string, fd int) bool {
	unix.Fchmod(fd, modePrivate) // its entry ".." is going to be written
	if unix.Renameat(dirfd, name, r.top, sys.RandomName()) != nil {
		return false
	}
	r.moved = true
	return true
}

// unmount detaches what is mounted on name in dirfd, a directory of ours. umount
// takes no descriptor, so /proc stands for it.
func unmount(dirfd int, name string) error {
	return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, name), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}
