// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import "nbdkit-tmpdisk-plugin/tmpdisk/clients"

// holds are the slots that a disk takes, by owner: one of each who has it or is about to
// get it, or else of who had it last. So nobody has more disks than slots by having others
// connect to them. All is under Register.mu.
type holds map[string]*hold

type hold struct {
	slot *clients.Slot
	uses int  // connections, and clients that are about to have one
	last bool // the disk waits for this owner, or may
}

// take takes a slot for one more client of owner's, unless it has one.
func (h holds) take(c *clients.Clients, owner string, l clients.Limits) error {
	if h[owner] == nil {
		slot, err := c.Enter(owner, l)
		if err != nil {
			return err
		}
		h[owner] = &hold{slot: slot}
	}
	h[owner].uses++
	return nil
}

// end is for a client that take was called for. With last, it was the last one that was
// connected, and the disk remains its own.
func (h holds) end(owner string, last bool) {
	if this := h[owner]; this != nil {
		this.uses--
		this.last = this.last || last
		h.leave(owner)
	}
}

// forget is for a disk that somebody else has now, or that is gone.
func (h holds) forget(gone bool) {
	for owner, this := range h {
		if this.last = false; gone {
			this.uses = 0
		}
		h.leave(owner)
	}
}

// leave gives up a slot that is not needed any more.
func (h holds) leave(owner string) {
	if this := h[owner]; this.uses == 0 && !this.last {
		this.slot.Leave()
		delete(h, owner)
	}
}
