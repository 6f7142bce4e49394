// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import "time"

// Found is a disk that is there.
type Found struct {
	Waiting
	Grace time.Duration // of its export
	Here  bool          // nobody has it; else another server does, which may die
	New   bool          // its client is the first one, and may only look
}

// Note says since when a session is lost.
type Note struct {
	Key   Key
	Since time.Time
}

// NotYet says that a disk was not dropped, because it has not waited for as long as the
// caller thinks.
type NotYet struct {
	Grace time.Duration // of its export
	Waits *Waiting      // nil if another server has it
}

func (*NotYet) Error() string { return "another server's client uses it, or has used it since" }

// A Policy is what an export's parameters say about its sessions.
type Policy struct {
	Grace time.Duration // how long a disk waits
	// Share lets all clients of a session go on. Without it, a newcomer's first
	// request that modifies fences the older connections (handover).
	Share bool
	Fresh bool // a lost session gets a fresh disk
}
