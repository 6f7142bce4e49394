// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// filesystems is what status-file says of them. Those that could not be tried are
// not there.
func (s *Server) filesystems() []status.Filesystem {
	list := []status.Filesystem{}
	if s.filesystem != nil {
		list = append(list, describeFilesystem("TMPDIR", s.tmpdir, *s.filesystem))
	}
	if s.sessions != nil {
		if r, ok := s.sessions.Filesystem(); ok {
			list = append(list, describeFilesystem("session-dir", s.sessionDir, r))
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
