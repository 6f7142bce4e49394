// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Without namespaces what belongs to a command is found by looking: it is in
// the session that the supervisor leads, or descends from it, or carries the
// command's mark in its environment. A process that leaves all three behind
// (setsid, a parent that has ended, a cleaned environment) is not found.

// markName is the environment variable that holds the mark.
const markName = "NBDKIT_TMPDISK_MARK"

// supervisorScan starts a watcher besides the command, because the parent
// death signal ends only the supervisor itself. The watcher sees the end of
// the gate's file when the server is dead, and then does by shell what
// killByScan does. It begins with the supervisor, because that may get its
// signal later than the gate is closed and would take the watcher for one that
// is no longer needed. It makes a last sweep of its own process group, itself
// included, which takes all at once and cannot be outrun; also when it must end
// early, as dash does if the command has left it no process to fork.
const supervisorScan = `read -r mark <&3 || exit 125
(
	trap 'kill -9 0' EXIT
	read -r go <&3
	kill -9 $$
	read -r self rest </proc/self/stat
	n=0
	while [ $n -lt 20 ]; do
		found=$(grep -ls "$mark" /proc/[0-9]*/task/[0-9]*/environ)
		for f in /proc/[0-9]*/stat; do
			read -r line <$f || continue
			set -- ${line##*) }
			[ "$4" != $$ ] || [ $f = /proc/$self/stat ] || found="$found $f"
		done
		[ -n "$found" ] || break
		for f in $found; do f=${f#/proc/}; kill -9 ${f%%/*}; done
		n=$((n + 1))
	done
) 2>/dev/null 4<&- &
exec 3<&-
` + markName + `=$mark /bin/sh -c '. /dev/fd/4' command
code=$?
kill -9 $! 2>/dev/null
exit $code`

func newMark() string { return rand.Text() }

// killByScan stops, then kills, whatever belongs to the command, until nothing
// is found. Stopping comes first so that what forks cannot go on forking while
// others are looked for. One look that finds nothing is not enough, least of all
// after one that found something, because the list of processes is not read at
// one instant: a process may end and its child begin behind the reader's back.
// The error says what is alive at the deadline.
func (p *process) killByScan(deadline time.Time) error {
	leader := p.cmd.Process.Pid
	seen := map[sys.ProcID]bool{}
	sessions := map[int]bool{}
	for pass, empty, enough := 0, 0, 2; empty < enough; pass++ {
		fresh := false
		stop := func(id sys.ProcID) {
			if !seen[id] {
				seen[id], fresh = true, true
				id.Stop()
			}
		}
		found, err := scan(leader, markName+"="+p.mark, sessions, stop)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			empty++
			continue
		}
		empty, enough = 0, 4
		for _, id := range found {
			stop(id)
		}
		// Whoever keeps forking faster than it is found is killed as it
		// is found.
		if !fresh || pass > 50 {
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

// scan lists the living processes that are in the session of leader, descend
// from it, have mark in their environment, or share a session with one that
// has. No session is shared with strangers, since the supervisor began one of
// its own. sessions has those that were found so far: a process that is just
// executing a program has no environment for an instant, and is then known by
// its session. (With an environment it might be a stranger that has got the
// number of a session of ours that has ended.) stop is called at once for each
// process that has the mark.
func scan(leader int, mark string, sessions map[int]bool, stop func(sys.ProcID)) ([]sys.ProcID, error) {
	type proc struct {
		sys.ProcStat
		environ []byte // nil if it may not be read
	}
	all := map[int]proc{}
	marked := map[int]bool{leader: true} // sessions, by what is seen now
	// Reading takes longer than a process that keeps forking lives, so look
	// again for what is new, newest first, while there is any.
	for range 10 {
		pids, err := sys.PIDs()
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, pid := range slices.Backward(pids) {
			if _, known := all[pid]; known || pid == os.Getpid() {
				continue
			}
			st, err := sys.ReadStat(pid)
			if err != nil {
				continue
			}
			all[pid], fresh = proc{ProcStat: st}, true
			if st.Dead() || st.Session == 0 {
				continue // dead, or the kernel's
			}
			p := proc{ProcStat: st}
			p.environ = sys.ReadEnviron(pid, st)
			if bytes.Contains(p.environ, []byte(mark)) {
				marked[st.Session], sessions[st.Session] = true, true
				stop(sys.ProcID{PID: pid, Start: st.Start})
			}
			all[pid] = p
		}
		if !fresh {
			break
		}
	}
	memo := map[int]bool{leader: true}
	var descends func(pid int) bool
	descends = func(pid int) bool {
		if known, ok := memo[pid]; ok {
			return known
		}
		memo[pid] = false // the snapshot is not atomic, there may be a ring
		if p, ok := all[pid]; ok {
			memo[pid] = descends(p.Parent)
		}
		return memo[pid]
	}
	var found []sys.ProcID
	for pid, p := range all {
		if !p.Dead() && (marked[p.Session] || sessions[p.Session] && len(p.environ) == 0 || descends(pid)) {
			found = append(found, sys.ProcID{PID: pid, Start: p.Start})
		}
	}
	return found, nil
}
