// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "time"

// An Ending is closed when something has ended. nil is for what there was not.
type Ending chan struct{}

// Begin has f end something.
func Begin(f func()) Ending {
	e := make(Ending)
	go func() {
		defer close(e)
		f()
	}()
	return e
}

// GoesOn reports whether it has not ended.
func (e Ending) GoesOn() bool {
	select {
	case <-e:
		return false
	default:
		return e != nil
	}
}

// Within reports whether all have ended before patience is over.
func Within(patience time.Duration, all ...Ending) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for _, e := range all {
		if e == nil {
			continue
		}
		select {
		case <-e:
		case <-timeout.C:
			return false
		}
	}
	return true
}
