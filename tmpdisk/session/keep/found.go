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
