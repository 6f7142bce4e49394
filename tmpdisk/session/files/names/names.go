// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Disk is what the disk of key is called.
func Disk(key keep.Key) string { return string(key) + ".disk" }

// Exists reports whether p has that file.
func Exists(p *privdir.Dir, name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(p.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return false, fmt.Errorf("stat: %s: %w", p.Join(name), err)
	}
	return err == nil, nil
}

// List has the keys in p, and whether there is a disk of them or only a record; what is
// temporary, or stands for a removed file; and what package basis may have to sweep. It
// removes marks without a disk.
func List(p *privdir.Dir) (hasDisk map[keep.Key]bool, temps, bases []string, err error) {
	all, err := p.Names()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("list: %s: %w", p.Path(), err)
	}
	hasDisk = map[keep.Key]bool{}
	var marked []keep.Key
	for _, name := range all {
		key, kind, ok := privdir.SplitName(name)
		switch {
		case ok && kind == privdir.TempKind, sys.StandsForRemoved(name):
			temps = append(temps, name)
		case ok && basis.Sweepable(kind, false):
			bases = append(bases, name)
		case ok && kind == kindMark:
			marked = append(marked, keep.Key(key))
		case ok && (kind == "disk" || kind == "json"):
			hasDisk[keep.Key(key)] = hasDisk[keep.Key(key)] || kind == "disk"
		}
	}
	for _, key := range marked {
		if !hasDisk[key] {
			Mended(p, key)
		}
	}
	bases = slices.DeleteFunc(bases, func(name string) bool {
		key, kind, _ := privdir.SplitName(name)
		return !basis.Sweepable(kind, hasDisk[keep.Key(key)])
	})
	return hasDisk, temps, bases, nil
}

// Space is what the disk of key takes, in bytes.
func Space(p *privdir.Dir, key keep.Key) (allocated uint64, ok bool) {
	var st unix.Stat_t
	if unix.Fstatat(p.FD(), Disk(key), &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return 0, false
	}
	return uint64(st.Blocks) * 512, true
}

// Noted is since when there is a note of key, by the time of its file: it is not read,
// because there may be very many. A file from before this boot, whose time another clock
// may have given it, gets this time.
func Noted(p *privdir.Dir, key keep.Key, clock sys.Clock) (since time.Time, ok bool) {
	since, ok = written(p, key)
	now := clock.Now()
	if age := now.Sub(since); ok && (age < 0 || age > clock.SinceBoot()) {
		since = now
		at := unix.NsecToTimespec(now.UnixNano())
		// If that fails, the next server does it.
		unix.UtimesNanoAt(p.FD(), record.FileName(key), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return since, ok
}

// NotedAt is since when there is the note r, by what it says, or else as Noted.
func NotedAt(p *privdir.Dir, key keep.Key, r *record.Record, s *record.Server) time.Time {
	if age, ok := s.Age(r); ok {
		return s.Clock.Now().Add(-age)
	}
	since, _ := written(p, key)
	return since
}

// written is when the record of key was changed last.
func written(p *privdir.Dir, key keep.Key) (t time.Time, ok bool) {
	var st unix.Stat_t
	err := unix.Fstatat(p.FD(), record.FileName(key), &st, unix.AT_SYMLINK_NOFOLLOW)
	return time.Unix(st.Mtim.Unix()), err == nil
}

// Touch makes the files of key as young as they can be.
func Touch(p *privdir.Dir, key keep.Key) error {
	for _, name := range []string{Disk(key), record.FileName(key)} {
		if err := unix.UtimesNanoAt(p.FD(), name, nil, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("touch: %s: %w", p.Join(name), err)
		}
	}
	return nil
}

// Temps lists the temporary files of key.
func Temps(p *privdir.Dir, key keep.Key) (temps []string, err error) {
	names, err := p.Names()
	if err != nil {
		return nil, fmt.Errorf("list: %s: %w", p.Path(), err)
	}
	for _, name := range names {
		if prefix, ok := privdir.SplitTemp(name); ok && prefix == string(key) {
			temps = append(temps, name)
		}
	}
	return temps, nil
}

// TempOf is the temporary name of the disk of key that fd is open on; "" if it has none.
func TempOf(p *privdir.Dir, key keep.Key, fd int) (name string, err error) {
	temps, err := Temps(p, key)
	i := slices.IndexFunc(temps, func(name string) bool { return sys.SameFile(p.FD(), name, fd) })
	if err != nil || i < 0 {
		return "", err
	}
	return temps[i], nil
}

// InPlace fails with ENOENT if the disk of key is not what fd is open on: all that would be
// written there is lost. The kernel may remember a name, and asks for one that it opens.
func InPlace(p *privdir.Dir, key keep.Key, fd int) error {
	err := record.Patiently(func() error {
		f, err := p.Open(Disk(key), unix.O_RDONLY)
		f.Close()
		return err
	})
	if err != nil {
		return err
	}
	if !sys.SameFile(p.FD(), Disk(key), fd) {
		return fmt.Errorf("%s: removed or replaced: %w", p.Join(Disk(key)), unix.ENOENT)
	}
	return nil
}

// RemoveTemps removes what other servers were about to rename to the disk or the record
// of key: their kernels could do it still. That such a file is locked says nothing,
// because its server does not know yet that it has lost the session.
func RemoveTemps(p *privdir.Dir, key keep.Key) error {
	temps, err := Temps(p, key)
	for _, name := range temps {
		if err == nil {
			err = p.Remove(name)
		}
	}
	return err
}
