// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A keeper has the disks of sessions, and notes of those that are gone. Its
// methods are called from any number of goroutines, but for one key by one at a
// time, except newest.
type keeper interface {
	// begin lists what waits, and what is lost, oldest first.
	begin() (found []finding, lost []entry, err error)
	// resume takes the disk of key that waits. The error is errUnknown if
	// there never was one, a *LostError if it is gone, and wraps errElsewhere
	// if another server has it.
	resume(ctx context.Context, key Key) (*held, error)
	// create takes in a fresh disk for a key that is unknown. It closes the
	// disk if it fails, or keeps another one in its place.
	create(ctx context.Context, key Key, export string, d Disk) (*held, error)
	// release lets the disk wait. The disk is kept even if that fails.
	release(h *held) error
	// discard removes the disk, and all that is known of it.
	discard(h *held) error
	// abandon closes the disk. With a reason it is lost.
	abandon(h *held, why Reason) error
	// newest fails if another server has taken the session over.
	newest(h *held) error
	// drop removes the disk that waits, for a reason which becomes its note.
	// It returns what that frees, in bytes. The error is a *tooEarly if the
	// disk has not waited for long enough to be Expired, and else wraps
	// errElsewhere if another server has it.
	drop(w waiter, why Reason) (uint64, error)
	// forget removes the note of key, unless it was made after before.
	forget(key Key, before time.Time) error
	// space is what the disk of key that waits takes, in bytes. It may be called
	// at any time, and waits for no other method.
	space(key Key) (allocated uint64, ok bool)
	// stop drops what does not outlive the server.
	stop()
}

// held is a disk that clients are connected to.
type held struct {
	key  Key
	disk Disk
	// used says that a client may know what is on it, even if Touched says
	// that none has used it since it was opened.
	used   bool
	lease  *lease
	others bool // another server had it last
	record
}

var (
	errUnknown   = errors.New("no such session")
	errElsewhere = fmt.Errorf("another server has it: %w", unix.EBUSY)
	errOvertaken = fmt.Errorf("another server has taken it over: %w", unix.ESHUTDOWN)
)

// A finding is a disk that was there at the start.
type finding struct {
	waiter
	waits *Waiting // nil if another server has it, which may die
}

// tooEarly says that another server's client uses a disk, or has used it since. It
// is to wait for grace.
type tooEarly struct {
	grace time.Duration
	waits *Waiting // nil if another server has it
}

func (*tooEarly) Error() string { return "another server's client uses it, or has used it since" }

// A Reason is why the disk of a session is gone.
type Reason string

// The reasons. They are in the files of a Dir.
const (
	Expired Reason = "expired" // nobody came for it in time
	Evicted Reason = "evicted" // it had to make room
	Crashed Reason = "crashed" // the machine crashed
	Damaged Reason = "damaged" // its files are
	Failed  Reason = "failed"  // the filesystem failed it
)

var reasons = map[Reason]string{
	Expired: "it waited longer than session-grace",
	Evicted: "it had to make room for others (session-max, min-free)",
	Crashed: "the machine has been started again, or it is another one, and without session-sync=yes what was written may be missing",
	Damaged: "its files in session-dir were damaged",
	Failed:  "the filesystem that it was on failed",
}

// A LostError says that the disk of a session is gone.
type LostError struct {
	Key    Key
	Reason Reason
}

func (e *LostError) Error() string {
	return fmt.Sprintf("session %s: its disk is gone: %s. A client that has mounted it must not get another one in its place: "+
		"give each boot of the client a token of its own (or, if its clients never have anything mounted then, session-lost=fresh)",
		e.Key.Short(), reasons[e.Reason])
}

// Unwrap makes it ESTALE to a client that can be told.
func (e *LostError) Unwrap() error { return unix.ESTALE }
