// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// tryTMPDIR finds out what the filesystem of TMPDIR can do, and tells the
// administrator of one that is second best. Where its server is dead this hangs, as
// the sweep before it has.
//
// That a trial has failed is not handed on to those who make and serve disks: they
// ask the filesystem themselves, of each file, because a command may put a disk
// elsewhere. What must not even be asked goes by the filesystem's type, see
// sys.FSType.TellsHoles, and a trial takes a type's good name away.
func (s *Server) tryTMPDIR() {
	dir := s.tmpdir
	r, err := tryIn(dir)
	if err != nil {
		s.host.Debug(fmt.Sprintf("TMPDIR: %v (ignored)", err)) // clients are told
		return
	}
	s.filesystem = &r
	for _, line := range r.Lines("TMPDIR", dir) {
		s.host.Debug(line)
	}
	if w := r.Warning(); w != "" {
		s.host.Error(fmt.Sprintf("TMPDIR %s: %s", dir, w))
	}
	s.sayHeld(dir)
}

// tryIn tries the filesystem of parent in a private directory there, which a sweep
// removes if the server is killed meanwhile.
func tryIn(parent string) (fsprobe.Result, error) {
	w, err := workdir.New(parent)
	if err != nil {
		return fsprobe.Result{}, err
	}
	r, err := fsprobe.Probe(w.Path(), "")
	return r, errors.Join(err, w.RemoveClosed())
}

func (s *Server) sayHeld(dir string) {
	holds, err := workdir.HoldsOpenFiles(dir)
	if err != nil {
		s.host.Debug(fmt.Sprintf("%v (ignored)", err))
	}
	if !holds {
		return
	}
	if s.exports == nil && s.cfg.Builtin() {
		if fd, err := sparse.Unnamed(dir, false); err == nil {
			unix.Close(fd)
			return
		}
	}
	s.host.Error(fmt.Sprintf("TMPDIR %s: on this filesystem (FUSE, NFS or the like) a file has a name as long as it is open. "+
		"So each disk keeps a directory there, and two more descriptors, until its client is gone. "+
		"What is left when the server ends before its clients is removed when it starts again. "+
		"A local filesystem, like ext4, xfs, btrfs or tmpfs, is better", dir))
}

// filesystems is what status-file says of them. Those that could not be tried are
// not there.
func (s *Server) filesystems() []status.Filesystem {
	list := []status.Filesystem{}
	if s.filesystem != nil {
		list = append(list, describeFilesystem("TMPDIR", s.tmpdir, *s.filesystem))
	}
	if s.sessions != nil {
		if r, ok := s.sessions.Filesystem(); ok {
			list = append(list, describeFilesystem("session-dir", s.cfg.Session.Dir, r))
		}
	}
	return list
}

func describeFilesystem(what, path string, r fsprobe.Result) status.Filesystem {
	f := status.Filesystem{For: what, Path: path, Type: r.Type.String(), Shared: r.Type.Shared()}
	for _, a := range r.Answers {
		able := status.Ability{Name: string(a.Ability), Can: a.Err == nil}
		if a.Err != nil {
			able.Why = a.Err.Error()
		}
		f.Abilities = append(f.Abilities, able)
	}
	return f
}
