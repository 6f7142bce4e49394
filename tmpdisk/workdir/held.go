// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"fmt"
	"os"
)

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
