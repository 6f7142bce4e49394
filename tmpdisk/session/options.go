// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// A Policy is what an export's parameters say about its sessions.
type Policy = keep.Policy

// Options are those of all sessions of a server.
type Options struct {
	files.Options
	Max int // disks that wait at a time

	// Waits, Gone and Found tell which disks wait here, and are nil or called
	// without locks: see the package. Waits is called when the last client of
	// key has left, before anything can happen to its disk; not for a disk that
	// is discarded then, or has failed. Gone is called once for a disk that Waits
	// or Found was called for, when it is lost or this server notices that another
	// one has taken it; not when a client resumes it. Found is called for each disk
	// that is found to wait: by Start, and later.
	Waits func(keep.Key)
	Gone  func(keep.Key)
	Found func(keep.Waiting)
	// Failed is nil or called without locks, once for each disk that a client has
	// or that waits, when the filesystem could not write what a client had written.
	Failed func(keep.Key)

	maxLost int                // for tests; 0 is maxLost
	ask     func(fd int) error // for tests; nil is fdatasync
}

const (
	// forgetAfter is how long it is known that a session was lost: longer than a
	// client goes on trying.
	forgetAfter = 24 * time.Hour
	// maxLost is how many lost sessions are known at most.
	maxLost = 100_000
)
