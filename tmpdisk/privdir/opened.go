// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import "sync/atomic"

// Opened is a directory that several use, each until its own Close. It may be replaced: the
// old one stays open for those who have it.
type Opened struct{ now atomic.Pointer[Dir] }

// Get returns the directory, for the caller to close. If it is not what its path leads to
// any more, or if there is none, p is nil, and was is what there is.
func (o *Opened) Get() (p, was *Dir) {
	for was = o.now.Load(); was != nil && !was.hold(); was = o.now.Load() {
		// It has just been replaced.
	}
	if was == nil || was.InPlace() {
		return was, was
	}
	was.Close()
	return nil, was
}

// Set replaces the directory by p, which stays the caller's to close as well. One at a
// time calls it.
func (o *Opened) Set(p *Dir) {
	p.hold()
	if was := o.now.Swap(p); was != nil {
		was.Close()
	}
}

// hold makes d good for one more Close. It returns false if d is closed.
func (d *Dir) hold() bool {
	for n := d.users.Load(); n > 0; n = d.users.Load() {
		if d.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}
