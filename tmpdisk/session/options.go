// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import "time"

// A Conflict is what happens when a client comes while another is connected.
type Conflict int

// Handover fences the older connections at the newcomer's first request that
// modifies; Refuse turns the newcomer away; Share lets all go on.
const (
	Handover Conflict = iota
	Refuse
	Share
)

// A Policy is what an export's parameters say about its sessions.
type Policy struct {
	Grace    time.Duration // how long a disk waits
	Conflict Conflict
	Fresh    bool // a lost session gets a fresh disk
}

// Options are those of all sessions of a server.
type Options struct {
	Forget time.Duration // how long it is known that a session was lost
	Max    int           // disks that wait at a time
	Dir    string        // absolute; "" keeps disks in memory
	Sync   bool          // flush and FUA are real; only with Dir
	// Grace is how long a disk of export waits that another server had last;
	// only with Dir. It is called from any number of goroutines, and for exports
	// that are there no longer as well: 0 is no grace.
	Grace func(export string) time.Duration

	// Waits, Gone and Found tell which disks wait here, and are nil or called
	// without locks: see the package. Waits is called when the last client of
	// key has left, before anything can happen to its disk; not for a disk that
	// is discarded then, or has failed. Gone is called once for a disk that Waits
	// or Found was called for, when it is lost or this server notices that another
	// one has taken it; not when a client resumes it. Found is called by Start for
	// each disk that waits already, and later for one that turns out to wait
	// though another server has had it.
	Waits func(Key)
	Gone  func(Key)
	Found func(Waiting)

	Debug    func(string) // a line for nbdkit -v
	LogError func(string) // a line for the log

	// For tests.
	now     func() time.Time                          // nil is the real time
	after   func(time.Duration, func()) (stop func()) // nil are real timers
	maxLost int                                       // 0 is maxLost
	boot    string                                    // "" is the kernel's
	clock   func() time.Duration                      // nil is the time since the boot
	shared  bool                                      // take Dir for one that other machines have as well
}

// maxLost is how many lost sessions are known at most.
const maxLost = 100_000
