// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package logs

// A Fault is something that is wrong for a while, and is logged once: when it
// begins. It may begin again when it has ended. The zero value is no fault. It has no
// lock of its own.
type Fault struct{ what string }

// Begins notes that something is wrong, and reports whether to log it: unless what,
// which must not be "", is what was wrong before.
func (f *Fault) Begins(what string) bool {
	before := f.what
	f.what = what
	return what != before
}

// Lasts reports whether anything is wrong.
func (f *Fault) Lasts() bool { return f.what != "" }

// Ends notes that nothing is wrong, and reports whether anything was.
func (f *Fault) Ends() bool {
	lasted := f.Lasts()
	f.what = ""
	return lasted
}
