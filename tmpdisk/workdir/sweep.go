// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Sweep removes from parent what servers of this user left there when they
// were killed. It is safe to call at any time, also while other servers, or
// other goroutines of this one, make directories in parent.
//
// Only a directory whose name New could have made is considered, and
// then it is the opened directory that decides, never its path: it must belong
// to this user, have a mode that we give, and its lock must be free.
//
// The error says that parent could not be read. A directory that could not be
// removed is a debug line: it harms nobody who is being served.
func Sweep(parent string, debug func(string)) error {
	dir, err := os.Open(parent)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	defer dir.Close()
	var held []string
	sweep := func(name string) {
		removed, err := sweepOne(int(dir.Fd()), name)
		path := filepath.Join(parent, name)
		switch {
		case errors.Is(err, ErrHeld):
			held = append(held, name)
		case err != nil:
			debug(fmt.Sprintf("sweep: %s: %v (ignored)", path, err))
		case removed:
			debug(fmt.Sprintf("sweep: %s: removed, its server is dead", path))
		}
	}
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if validName(name) {
				sweep(name)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	// Of a server that has just died.
	pause := sys.Backoff{First: time.Millisecond, Last: 100 * time.Millisecond}
	for until := time.Now().Add(sweepPatience); len(held) > 0 && time.Now().Before(until); {
		time.Sleep(pause.Next())
		again := held
		held = nil
		for _, name := range again {
			sweep(name)
		}
	}
	for _, name := range held {
		debug(fmt.Sprintf("sweep: %s: %v (ignored)", filepath.Join(parent, name), ErrHeld))
	}
	return nil
}

// sweepPatience is how long a filesystem may take to notice that files have been
// closed. Clients wait for it.
const sweepPatience = 2 * time.Second

var (
	errNotOurs = errors.New("not made by this user's server")
	errInUse   = errors.New("in use")
)

func sweepOne(parent int, name string) (removed bool, err error) {
	fd, err := sys.OpenBeneath(parent, name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd) // and with it the lock
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	// A parent with the set-group-ID bit hands that bit down for the moment
	// between mkdir and chmod.
	mode := st.Mode &^ (unix.S_IFMT | unix.S_ISGID)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() ||
		(mode != modePrivate && mode != modeGiven) {
		return false, errNotOurs
	}
	if err := sys.Flock(fd); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInUse
		}
		return false, err
	}
	// Its server may have finished with it, or another sweep, and the name
	// may stand for something else by now.
	if !sys.SameFile(parent, name, fd) {
		return false, nil
	}
	if err := removeTree(parent, name, fd); err != nil {
		return false, err
	}
	return true, nil
}
