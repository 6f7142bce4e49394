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

// Remove deletes the directory with all that is in it and gives up the lock.
// What could not be deleted stays for a later sweep and is the error; calling
// it again after that or after success does nothing.
//
// If the error wraps [ErrHeld], nothing has been given up: call RemoveClosed
// once the file is closed.
func (w *Dir) Remove() error {
	if w.parent == nil {
		return nil
	}
	var err error
	if !w.removeKnown() {
		err = removeTree(int(w.parent.Fd()), w.name, int(w.dir.Fd()))
	}
	if !errors.Is(err, ErrHeld) {
		w.release()
	}
	if err != nil {
		return fmt.Errorf("remove directory: %s: %w", w.full, err)
	}
	return nil
}

// RemoveClosed is Remove when no file in the directory is open any more. The
// filesystem may learn of that a moment later, because closing a file does not
// wait for it: RemoveClosed does, ten seconds at most.
func (w *Dir) RemoveClosed() error {
	pause := sys.Backoff{First: time.Millisecond, Last: 100 * time.Millisecond}
	for until := time.Now().Add(removePatience); ; time.Sleep(pause.Next()) {
		err := w.Remove()
		if !errors.Is(err, ErrHeld) {
			return err
		}
		if time.Now().After(until) {
			w.release()
			return err
		}
	}
}

// release comes last: as long as the lock is held no sweep looks inside.
func (w *Dir) release() {
	w.dir.Close()
	w.parent.Close()
	w.dir, w.parent = nil, nil
}

// removeKnown reports whether the directory is gone, because nothing was in it
// but the disk. Unlike the walk through a tree it needs no descriptor, and the
// server may have none left: that may be why the disk could not be made.
func (w *Dir) removeKnown() bool {
	wfd := int(w.dir.Fd())
	unix.Unlinkat(wfd, diskName, 0)
	// A command could have replaced the inner directory by a link, or mounted
	// something on it: what is in there is not ours to remove.
	if w.inner != "" && sys.PlainDir(wfd, innerName) {
		unix.Unlinkat(wfd, innerName+"/"+diskName, 0)
		unix.Unlinkat(wfd, innerName, unix.AT_REMOVEDIR)
	}
	return unix.Unlinkat(int(w.parent.Fd()), w.name, unix.AT_REMOVEDIR) == nil
}

// On some filesystems a file needs a name as long as it is open. When it is
// removed, it is given another one, in the same directory, which is gone when
// the file is closed. Removing that name gives it the next one (FUSE), or fails
// with EBUSY (NFS). If the kernel or the filesystem's server dies meanwhile, it
// stays, and is then a name like others.

// ErrHeld says that a directory cannot be removed yet, because a file in it is
// still open.
var ErrHeld = errors.New("a removed file that is still open has a name there")

// HoldsOpenFiles tries out whether parent is on such a filesystem.
func HoldsOpenFiles(parent string) (bool, error) {
	w, err := New(parent)
	if err != nil {
		return false, err
	}
	f, err := os.OpenFile(w.Disk(), os.O_RDWR|os.O_CREATE|os.O_EXCL, modePrivate)
	if err != nil {
		return false, errors.Join(fmt.Errorf("try: %w", err), w.Remove())
	}
	err = w.Remove()
	f.Close()
	if !errors.Is(err, ErrHeld) {
		return false, err
	}
	return true, w.RemoveClosed()
}
