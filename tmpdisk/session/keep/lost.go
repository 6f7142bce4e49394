// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// What the directory answers for a key.
var (
	// ErrUnknown says that there never was such a session, or that it has been
	// forgotten.
	ErrUnknown = errors.New("no such session")
	// ErrElsewhere says that another server has the session now.
	ErrElsewhere = fmt.Errorf("another server has it: %w", unix.EBUSY)
	// ErrOvertaken says that another server has taken it from this one.
	ErrOvertaken = fmt.Errorf("another server has taken it over: %w", unix.ESHUTDOWN)
	// ErrUnwritten says that the disk may lack what its client was told is written.
	ErrUnwritten = errors.New("the filesystem could not write all that a client had written to the disk")
)

// Waiting is a disk that waits for its client.
type Waiting struct {
	Key    Key
	Export string
	Size   int64     // in bytes
	Since  time.Time // when its client left, or its server was found dead
	Version
}

// A Version of a record. If it is the same, nobody has had the disk since.
type Version struct {
	Used       int64 // in nanoseconds, by a clock that may be another's
	Generation uint64
	Connected  bool
}

// A Reason is why the disk of a session is gone.
type Reason string

// The reasons. They are in the records of sessions.
const (
	Expired Reason = "expired" // nobody came for it in time
	Evicted Reason = "evicted" // it had to make room
	Crashed Reason = "crashed" // the machine crashed
	Damaged Reason = "damaged" // its files are
	Failed  Reason = "failed"  // the filesystem failed it
	// BaseGone says that what it stood on is gone, or is not what it was.
	BaseGone Reason = "base"
)

var reasons = map[Reason]string{
	Expired: "it waited longer than session-grace",
	Evicted: "it had to make room for others (session-max, min-free)",
	Crashed: "the machine has been started again, or it is another one, and without session-sync=yes what was written may be missing",
	Damaged: "its files in session-dir were damaged, or somebody removed them",
	Failed:  "the filesystem that it was on failed",

	BaseGone: "the image that it stood on (base=) is gone or has been changed: put it back as it was, or replace it by rename next time",
}

// Known reports whether r is one of the reasons.
func (r Reason) Known() bool { _, ok := reasons[r]; return ok }

// String says it in words.
func (r Reason) String() string { return reasons[r] }

// A LostError says that the disk of a session is gone.
type LostError struct {
	Key    Key
	Reason Reason
	Detail string // what was found, if that says more; else ""
	Kept   bool   // the disk is there until its grace is over
}

func (e *LostError) Error() string {
	detail := ""
	if e.Detail != "" {
		detail = " (" + e.Detail + ")"
	}
	return fmt.Sprintf("session %s: its disk is gone: %s%s. A client that has mounted it must not get another one in its place: "+
		"give each boot of the client a token of its own (or, if its clients never have anything mounted then, session-lost=fresh)",
		e.Key.Short(), e.Reason, detail)
}

// Unwrap makes it ESTALE to a client that can be told.
func (e *LostError) Unwrap() error { return unix.ESTALE }

// Meant takes a loss for no error.
func Meant(err error) error {
	if errors.As(err, new(*LostError)) {
		return nil
	}
	return err
}
