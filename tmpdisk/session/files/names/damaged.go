// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// kindMark is the kind of the mark of a damaged disk: a symbolic link to nothing, whose
// text says when it was found, and which file it is. A damaged record cannot say so, and
// is left as it is for whoever mends it.
const kindMark = "damaged"

func markOf(key keep.Key) string { return string(key) + "." + kindMark }

// Damaged is how long ago the disk of key, which fd is open on, was found to be damaged. ok
// is false if that is not known: then it is marked, and was found now.
func Damaged(p *privdir.Dir, key keep.Key, fd int, s *record.Server) (age time.Duration, ok bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false, fmt.Errorf("fstat: %s: %w", p.Join(Disk(key)), err)
	}
	text := make([]byte, 256)
	if n, err := unix.Readlinkat(p.FD(), markOf(key), text); err == nil {
		var r record.Record
		var used int64
		var ino uint64
		fields, _ := fmt.Sscanf(string(text[:n]), "%s %d %d %d", &r.Boot, &r.Uptime, &used, &ino)
		r.Used = time.Unix(0, used)
		if age, ok := s.Age(&r); ok && fields == 4 && ino == st.Ino {
			return age, true, nil
		}
	}
	mark := fmt.Sprintf("%s %d %d %d", s.Boot, s.Clock.SinceBoot(), s.Clock.Now().UnixNano(), st.Ino)
	return 0, false, errors.Join(Mended(p, key), unix.Symlinkat(mark, p.FD(), markOf(key)))
}

// Mended removes the mark of Damaged.
func Mended(p *privdir.Dir, key keep.Key) error { return p.Remove(markOf(key)) }
