// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"errors"
	"fmt"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// TryDir finds out what the filesystem of dir can do, and tells the administrator of
// one that is second best. builtin means that no command makes disks there. ok is
// false if it could not be tried. Where the filesystem's server is dead this hangs.
//
// That a trial has failed is not handed on to those who make and serve disks: they
// ask the filesystem themselves, of each file, because a command may put a disk
// elsewhere. What must not even be asked goes by the filesystem's type, see
// sys.FSType.TellsHoles, and a trial takes a type's good name away.
func TryDir(dir string, builtin bool, debug, logError func(string)) (r fsprobe.Result, ok bool) {
	r, err := try(dir)
	if err != nil {
		debug(fmt.Sprintf("TMPDIR: %v (ignored)", err)) // clients are told
		return r, false
	}
	r.Report("TMPDIR", dir, debug, logError)
	holds, err := workdir.HoldsOpenFiles(dir)
	if err != nil {
		debug(fmt.Sprintf("%v (ignored)", err))
	}
	if holds && !(builtin && r.Why(fsprobe.Unnamed) == nil) {
		logError(fmt.Sprintf("TMPDIR %s: on this filesystem (FUSE, NFS or the like) a file has a name as long as it is open. "+
			"So each disk keeps a directory there, and two more descriptors, until its client is gone. "+
			"What is left when the server ends before its clients is removed when it starts again. "+
			"A local filesystem, like ext4, xfs, btrfs or tmpfs, is better", dir))
	}
	return r, true
}

// try tries the filesystem of parent in a private directory there, which a sweep
// removes if the server is killed meanwhile.
func try(parent string) (fsprobe.Result, error) {
	w, err := workdir.New(parent)
	if err != nil {
		return fsprobe.Result{}, err
	}
	r, err := fsprobe.Probe(w.Path(), "")
	return r, errors.Join(err, w.RemoveClosed())
}
