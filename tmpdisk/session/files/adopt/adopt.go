// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package adopt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Name gives fresh a temporary name, and locks it; or a clone of it, where it never
// had a name on this filesystem that it could have again, or where it is another user's,
// so that it would be refused when it is opened next. With whole it is a copy that stands
// on nothing. What own is, other than fresh, the caller closes.
func Name(ctx context.Context, p *privdir.Dir, key keep.Key, fresh disk.Interface, whole bool, debug func(string)) (name string, own disk.Interface, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fresh.FD(), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil, errors.Join(err, errors.New("the command made a block device, which cannot be kept there: have it make a file"))
	}
	if err := sys.Flock(fresh.FD()); err != nil {
		return "", nil, fmt.Errorf("lock: %w", err)
	}
	name = privdir.TempName(string(key))
	if !whole && int(st.Uid) == os.Geteuid() && sys.LinkFD(fresh.FD(), p.FD(), name) == nil {
		if err := unix.Fchmod(fresh.FD(), 0o600); err != nil {
			p.Remove(name)
			return "", nil, fmt.Errorf("chmod: %s: %w", p.Join(name), err)
		}
		return name, fresh, nil
	}
	var f *os.File
	if whole {
		f, err = temporary(p, key, func(fd int) error { return basis.Copy(ctx, fd, fresh) })
	} else {
		f, err = Copy(ctx, p, key, fresh.FD(), nil, debug)
	}
	if err != nil {
		return "", nil, err
	}
	c, err := disk.FromFile(f, debug)
	if err != nil {
		p.Discard(f)
		f.Close()
		return "", nil, err
	}
	return filepath.Base(f.Name()), c, nil
}

// Copy makes a temporary file with the content of fd: a clone where there can be one. For
// cuts see [sparse.Options].
func Copy(ctx context.Context, p *privdir.Dir, key keep.Key, fd int, cuts []int64, debug func(string)) (*os.File, error) {
	return temporary(p, key, func(to int) error {
		how, err := sparse.Clone(ctx, to, fd, sparse.Options{Cuts: cuts})
		if err == nil {
			debug(fmt.Sprintf("session %s: disk cloned %s", key.Short(), how))
		}
		return err
	})
}

// temporary makes a temporary file, which fill fills.
func temporary(p *privdir.Dir, key keep.Key, fill func(fd int) error) (*os.File, error) {
	f, err := record.Temp(p, key)
	if err != nil {
		return nil, err
	}
	if err := fill(int(f.Fd())); err != nil {
		p.Discard(f)
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return f, nil
}
