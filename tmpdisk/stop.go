// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"strings"

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
	var sessions, own, exports sys.Ending
	// All at once: none is to be left alone because another one hangs.
	if s.sessions != nil {
		sessions = sys.Begin(s.sessions.Stop)
	}
	if s.own != nil {
		own = sys.Begin(func() { s.own.disks.Stop(errEnding) })
	}
	exports = sys.Begin(func() {
		if s.exports != nil {
			s.exports.Stop()
		}
		s.ending.Wait()
	})
	if !sys.Within(s.patience, sessions, own, exports) {
		s.sayLeft(sessions, own)
	}
	if s.reporter != nil {
		s.reporter.Stop()
	}
	s.log.Stop()
}

// sayLeft says what hangs, of these and of the exports.
func (s *Server) sayLeft(sessions, own sys.Ending) {
	var left []string
	if sessions.GoesOn() {
		left = append(left, "sessions in "+s.sessionDir)
	}
	for _, x := range s.liveExports() {
		switch {
		case x != s.own:
			left = append(left, fmt.Sprintf("the making of disks of export %q in %s", x.name, s.tmpdir))
		case own.GoesOn():
			left = append(left, "the making of disks in "+s.tmpdir)
		}
	}
	if n := s.commands.Running.Load(); n > 0 {
		left = append(left, fmt.Sprintf("%d commands", n))
	}
	s.host.Error(fmt.Sprintf("the server ends after %v, and leaves behind what hangs: %s", s.patience, strings.Join(left, "; ")))
}
