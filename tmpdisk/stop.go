// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// stopPatience is how long Stop waits for what it has ended. A command may take
// sys.DeathPatience until it is given up, and the processes of its user as long again.
const stopPatience = 3 * sys.DeathPatience

// Stop ends what is being made and drops what is ready (nbdkit's .cleanup). What hangs,
// because a filesystem does not answer, it leaves behind after a while, and the log says
// what that is. The next server removes the files.
func (s *Server) Stop() {
	s.stopping.Store(true)
	var sessions, own, exports ending
	// All at once: none is to be left alone because another one hangs.
	if s.sessions != nil {
		sessions = begin(s.sessions.Stop)
	}
	if s.own != nil {
		own = begin(func() { s.own.disks.Stop(errEnding) })
	}
	exports = begin(func() {
		if s.exports != nil {
			s.exports.Stop()
		}
		s.ending.Wait()
	})
	if !within(s.patience, sessions, own, exports) {
		s.sayLeft(sessions, own)
	}
	if s.reporter != nil {
		s.reporter.Stop()
	}
	s.log.Stop()
}

// sayLeft says what hangs, of these and of the exports.
func (s *Server) sayLeft(sessions, own ending) {
	var left []string
	if sessions.goesOn() {
		left = append(left, "sessions in "+s.sessionDir)
	}
	for _, x := range s.liveExports() {
		switch {
		case x != s.own:
			left = append(left, fmt.Sprintf("the making of disks of export %q in %s", x.name, s.tmpdir))
		case own.goesOn():
			left = append(left, "the making of disks in "+s.tmpdir)
		}
	}
	if n := s.commands.Running.Load(); n > 0 {
		left = append(left, fmt.Sprintf("%d commands", n))
	}
	s.host.Error(fmt.Sprintf("the server ends after %v, and leaves behind what hangs: %s", s.patience, strings.Join(left, "; ")))
}

// An ending is closed when something has ended. nil is for what there was not.
type ending chan struct{}

// begin has f end something.
func begin(f func()) ending {
	e := make(ending)
	go func() {
		defer close(e)
		f()
	}()
	return e
}

func (e ending) goesOn() bool {
	select {
	case <-e:
		return false
	default:
		return e != nil
	}
}

// within reports whether all have ended before patience is over.
func within(patience time.Duration, all ...ending) bool {
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
