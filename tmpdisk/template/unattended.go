// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"sync"
)

// Unattended is shared by the Templates of a process. One of their builds may go
// on without anybody who waits for it. Another one that is left alone meanwhile is
// cancelled: the first one to be left gets to its end, so that in time all do.
type Unattended struct {
	mu    sync.Mutex
	build *build // nil if there is none
}

// errUnattended is why a build is cancelled that everybody has left.
var errUnattended = errors.New("nobody waits for the template, and another one is being built for nobody already")

// claim reports whether b may go on alone.
func (u *Unattended) claim(b *build) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.build == nil {
		u.build = b
	}
	return u.build == b
}

// release says that b is not alone any more, or has ended.
func (u *Unattended) release(b *build) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.build == b {
		u.build = nil
	}
}
