// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package basis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Kinds of files beside the disks of sessions: see the package's comment.
const (
	kindLink   = "base"
	kindAnchor = "mold"
)

// FileName is that of the link to the base of key's disk.
func FileName(key keep.Key) string { return string(key) + "." + kindLink }

// FileSize is how many bytes the file of r's disk has.
func FileSize(r *record.Record) int64 {
	if r.BaseIs == "" {
		return r.Size
	}
	return overlay.FileSize(r.Size)
}

// Maps are where in that file a map begins: see [overlay.Maps].
func Maps(r *record.Record) []int64 {
	if r.BaseIs == "" {
		return nil
	}
	return overlay.Maps(r.Size)
}

// Describe writes into r what its disk stands on.
func Describe(r *record.Record, b *overlay.Base) { r.Base, r.BaseIs = b.Path(), b.Identity() }

// Keep has a fresh disk that stands on a base keep its map in its file, which is to come to
// p. base is nil if it stands on none. With whole, the base can have no name in p and has
// none elsewhere: then the disk must be copied, see [Copy].
func Keep(fresh disk.Interface, p *privdir.Dir, sync bool) (base *overlay.Base, whole bool, err error) {
	d, ok := fresh.(*overlay.Disk)
	if !ok {
		return nil, false, nil
	}
	base = d.Base()
	if base.Path() == "" {
		if _, err := linkAnchor(p, base); err != nil {
			return nil, true, nil
		}
	}
	if sync {
		// The image may have been made, or copied there, a moment ago.
		if err := sys.Fdatasync(base.FD()); err != nil {
			return nil, false, fmt.Errorf("sync base: %w", err)
		}
	}
	return base, false, d.Keep(sync)
}

// linkAnchor gives a base that has no name one that is no session's.
func linkAnchor(p *privdir.Dir, b *overlay.Base) (anchor string, err error) {
	h := sys.NewFieldHash()
	h.AddList("base", b.Identity())
	anchor = h.String() + "." + kindAnchor
	if !sys.SameFile(p.FD(), anchor, b.FD()) {
		err = b.Link(p.FD(), anchor)
	}
	if errors.Is(err, unix.EEXIST) && sys.SameFile(p.FD(), anchor, b.FD()) {
		err = nil // by another client's session
	}
	return anchor, err
}

// Copy makes the empty file fd what d reads as, whatever that stands on.
func Copy(ctx context.Context, fd int, d disk.Interface) error {
	if err := sys.Truncate(fd, d.Size()); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	buf, size := make([]byte, 1<<20), uint64(d.Size())
	for at := uint64(0); at < size; {
		r := disk.Request{Op: disk.Extents, Offset: at, Count: uint32(min(size-at, 1<<30))}
		r.Add = func(off, n uint64, hole bool) error {
			for at = off + n; !hole && n > 0; {
				if err := sys.ContextError(ctx); err != nil {
					return err
				}
				part := buf[:min(n, uint64(len(buf)))]
				if err := d.PRead(part, off); err != nil {
					return err
				}
				if _, err := sys.Pwrite(fd, part, int64(off)); err != nil {
					return err
				}
				off, n = off+uint64(len(part)), n-uint64(len(part))
			}
			return nil
		}
		if err := d.Do(r); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
	}
	return nil
}

// Link gives what d stands on, if it does, a name beside d, the disk of key. That it
// cannot is no error if the base can be found at its path: logError is told, once for each
// base, if somebody can do something about it. anchor is "", or a name in p that is no
// session's, which a server removes in the end.
func Link(p *privdir.Dir, key keep.Key, d disk.Interface, debug, logError func(string)) (anchor string, err error) {
	over, ok := d.(*overlay.Disk)
	if !ok {
		return "", nil
	}
	b := over.Base()
	if b.Path() == "" {
		anchor, err = linkAnchor(p, b)
	}
	name := FileName(key)
	if err == nil {
		err = p.Remove(name) // of a session that was killed while it began
	}
	if err == nil {
		err = b.Link(p.FD(), name)
	}
	if err != nil && b.Path() == "" {
		return anchor, fmt.Errorf("session %s: %w", key.Short(), err)
	}
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM) && b.Unlinked():
		logError(fmt.Sprintf("base: %s: sessions have no link to it, and are lost when another file takes its place: %v: "+
			"let the user that the server runs as own the file, or set sysctl fs.protected_hardlinks=0", b.Path(), err))
	default:
		debug(fmt.Sprintf("session %s: %s: %v: the session is lost if another file takes its place (ignored)", key.Short(), b.Path(), err))
	}
	return anchor, nil
}

// Find opens what the disk of r stands on, at its link or at its path, wherever it is what
// it was. Both results are nil if it stands on nothing. The error is a *keep.LostError if
// there is another one, and neither place could not be read: that one may be right. logError
// is told, once, if the base cannot be read later.
func Find(p *privdir.Dir, r *record.Record, debug, logError func(string)) (*overlay.Base, error) {
	if r.BaseIs == "" {
		return nil, nil
	}
	var once sync.Once
	failed := func(err error) {
		once.Do(func() { logError(fmt.Sprintf("session %s: %v", r.Key.Short(), err)) })
	}
	places := []string{p.Join(FileName(r.Key))}
	if r.Base != "" {
		places = append(places, r.Base)
	}
	var other, absent, unread error // the last of each
	for _, path := range places {
		b, err := overlay.Reopen(path, r.BaseIs, debug, failed)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, overlay.ErrOther):
			other = fmt.Errorf("%s: %w", path, err)
		case errors.Is(err, unix.ENOENT):
			absent = err
		default:
			unread = err
		}
	}
	if unread == nil && (other != nil || r.Base == "") {
		return nil, &keep.LostError{Key: r.Key, Reason: keep.BaseGone, Detail: cmp.Or(other, absent).Error(), Kept: true}
	}
	return nil, fmt.Errorf("session %s: base: %w", r.Key.Short(), cmp.Or(unread, absent))
}

// Stand puts the disk of r together: own is its file, which is closed after an error, and
// base what it stands on. sync is that of [overlay.Resume].
func Stand(own disk.Interface, base *overlay.Base, r *record.Record, sync bool) (disk.Interface, error) {
	file, ok := own.(*disk.Disk)
	if !ok {
		return nil, errors.Join(errors.New("a disk of another kind"), own.Close())
	}
	d, err := overlay.Resume(file, base, r.Size, r.Crashed, sync)
	switch {
	case errors.Is(err, overlay.ErrDamaged):
		return nil, &keep.LostError{Key: r.Key, Reason: keep.Damaged, Detail: err.Error(), Kept: true}
	case err != nil:
		return nil, err
	}
	return d, nil
}

// Sync has all that is in the file fd of r's disk, and its map, stored as if it had always
// been synced. base may be nil.
func Sync(fd int, base *overlay.Base, r *record.Record, debug func(string)) error {
	again, err := sys.Dup(fd)
	if err != nil {
		return err
	}
	own, err := disk.FromFD(again, debug)
	if err != nil {
		return err
	}
	d := disk.Interface(own)
	if base != nil {
		if d, err = Stand(own, base, r, true); err != nil {
			return err
		}
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes the link of key.
func Remove(p *privdir.Dir, key keep.Key) error { return p.Remove(FileName(key)) }

// Sweepable is whether Sweep is to be called for a file of this kind, of a session whose
// disk is there or not.
func Sweepable(kind string, disk bool) bool { return kind == kindAnchor || kind == kindLink && !disk }

// leftFor is how long a link stays whose session is not there: somebody may have moved its
// files away for a time.
const leftFor = 24 * time.Hour

// Sweep removes the file name of key, which nobody needs: the link of a session that is
// lost, or that is unknown for long, and what a server has left that was killed.
func Sweep(p *privdir.Dir, name string, key keep.Key, kind string) error {
	if kind == kindLink {
		r, err := record.Load(p, key)
		switch {
		case err == nil && r.Lost == keep.Damaged: // which nobody may have been to blame for
		case err == nil && r.Lost != "":
			return p.Remove(name)
		case !errors.Is(err, unix.ENOENT):
			return err
		}
	}
	fd, err := sys.Openat(p.FD(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return err
	case kind == kindLink && time.Since(time.Unix(st.Ctim.Unix())) < leftFor,
		kind == kindAnchor && sys.Flock(fd) != nil: // its server lives
		return nil
	}
	return p.Remove(name)
}

// Touch keeps the base of key's disk from being removed as an old file, or as a template
// that nobody uses.
func Touch(p *privdir.Dir, key keep.Key) error {
	now, omit := unix.Timespec{Nsec: unix.UTIME_NOW}, unix.Timespec{Nsec: unix.UTIME_OMIT}
	// Not the time of modification, by which a base is known. The file may be somebody
	// else's.
	unix.UtimesNanoAt(p.FD(), FileName(key), []unix.Timespec{now, omit}, unix.AT_SYMLINK_NOFOLLOW)
	r, err := record.Load(p, key)
	if err == nil && strings.HasPrefix(r.BaseIs, "template ") {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, r.Base, nil, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			err = nil // there may be a link
		}
	}
	return err
}
