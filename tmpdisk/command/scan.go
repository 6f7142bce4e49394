// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Without namespaces, what belongs to a command is found by looking. It is in
// the session that the first process leads, or descends from it, or carries the
// command's mark in its environment, or is in one session with a process that
// does. A process that leaves all of these behind (setsid, a parent that has
// ended, a cleaned environment) is not found.
//
// No session is shared with strangers, since the first process began one of its
// own.

// markName is the environment variable that holds the mark.
const markName = "NBDKIT_TMPDISK_MARK"

// hunt looks for the processes of one command.
type hunt struct {
	leader  int    // the first process
	mark    []byte // an assignment
	stopped map[sys.ProcID]bool
	// sessions are those of marked processes, of all looks so far. A process
	// that is just executing a program has no environment for an instant,
	// and is then known by its session. One that has an environment without
	// the mark is not: it may be a stranger whose session has got the number
	// of one of ours that has ended.
	sessions map[int]bool
}

func newHunt(leader int, mark string) *hunt {
	return &hunt{leader: leader, mark: []byte(mark), stopped: map[sys.ProcID]bool{}, sessions: map[int]bool{}}
}

// kill stops, then kills, whatever belongs to the command, until nothing is
// found. Stopping comes first so that what forks cannot go on forking while
// others are looked for. The error says what is alive at the deadline.
//
// To find nothing once is not enough. The list of processes is not read at one
// instant: a process may end, and its child begin, behind the reader's back.
// That is likelier if there was something.
func (h *hunt) kill(deadline time.Time) error {
	for pass, empty, enough := 0, 0, 2; empty < enough; pass++ {
		before := len(h.stopped)
		found, err := h.look()
		if err != nil {
			return err
		}
		if len(found) == 0 {
			empty++
			if enough > 2 { // what is just forking comes to be seen
				time.Sleep(2 * time.Millisecond)
			}
			continue
		}
		empty, enough = 0, 4
		for _, id := range found {
			h.stop(id)
		}
		// What forks faster than it is found is killed as it is found.
		if len(h.stopped) == before || pass > 50 {
			for _, id := range found {
				id.Signal(unix.SIGKILL)
			}
			time.Sleep(time.Millisecond)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes, %d for one: still alive after they were killed", len(found), found[0].PID)
		}
	}
	return nil
}

func (h *hunt) stop(id sys.ProcID) {
	if !h.stopped[id] {
		h.stopped[id] = true
		id.Stop()
	}
}

// snapshot is the processes of one look, by their numbers.
type snapshot map[int]proc

type proc struct {
	sys.ProcStat
	environ []byte // nil if it may not be read
	ours    bool   // it has the mark
}

// look lists the living processes of the command.
func (h *hunt) look() ([]sys.ProcID, error) {
	all := snapshot{}
	// To read takes longer than a process that keeps forking lives. So read
	// again what is new, as long as anything is.
	for range 10 {
		before := len(all)
		if err := h.readNew(all); err != nil {
			return nil, err
		}
		if len(all) == before {
			break
		}
	}
	here := map[int]bool{h.leader: true} // sessions with a marked process
	for _, p := range all {
		if p.ours {
			here[p.Session] = true
		}
	}
	var found []sys.ProcID
	known := map[int]bool{h.leader: true}
	for pid, p := range all {
		if !p.Dead() && (here[p.Session] || h.sessions[p.Session] && len(p.environ) == 0 || all.descends(pid, known)) {
			found = append(found, sys.ProcID{PID: pid, Start: p.Start})
		}
	}
	return found, nil
}

// readNew adds to all the processes that it lacks, newest first, and stops at
// once each that has the mark.
func (h *hunt) readNew(all snapshot) error {
	pids, err := sys.PIDs()
	if err != nil {
		return err
	}
	for _, pid := range slices.Backward(pids) {
		if _, known := all[pid]; known || pid == os.Getpid() {
			continue
		}
		st, err := sys.ReadStat(pid)
		if err != nil {
			continue // it has just ended
		}
		p := proc{ProcStat: st}
		if !st.Dead() && st.Session != 0 { // session 0 is the kernel's
			p.environ = sys.ReadEnviron(pid, st)
			p.ours = bytes.Contains(p.environ, h.mark)
		}
		if p.ours {
			h.sessions[st.Session] = true
			h.stop(sys.ProcID{PID: pid, Start: st.Start})
		}
		all[pid] = p
	}
	return nil
}

// descends is whether a process, or one that it descends from, is in known. It
// adds the answers to known.
func (all snapshot) descends(pid int, known map[int]bool) bool {
	if answer, ok := known[pid]; ok {
		return answer
	}
	known[pid] = false // the snapshot is not of one instant, there may be a ring
	if p, ok := all[pid]; ok {
		known[pid] = all.descends(p.Parent, known)
	}
	return known[pid]
}
