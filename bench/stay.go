// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// holdings are the series of what a server holds.
type holdings struct{ pss, rss, threads *series }

func (t *trial) holdings(goals ...goal) holdings {
	return holdings{
		t.report.series(t.name, "MiB PSS", goals...),
		t.report.series(t.name, "MiB RSS"),
		t.report.series(t.name, "threads"),
	}
}

// add adds what s holds once it has come to rest.
func (h holdings) add(t *trial, s *server) error {
	if err := pause(t.ctx, 500*time.Millisecond); err != nil {
		return err
	}
	f, err := s.footprint()
	if err != nil {
		return err
	}
	h.pss.add(s.name, f.pss)
	h.rss.add(s.name, f.rss)
	h.threads.add(s.name, f.threads)
	return nil
}

// anew measures servers of the kinds in turn. Each round has new ones, because
// memory that was used stays with them.
func (t *trial) anew(kinds []string, measure func(kind string) error) error {
	for i := range t.rounds(3, 1) {
		for j := range kinds {
			kind := kinds[(i+j)%len(kinds)]
			if err := measure(kind); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			if err := t.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// idle is what a server holds that has no client, with 10 disks of a command
// as spares.
func (t *trial) idle() error {
	held := t.holdings(goal{ours, "", 9})
	return t.anew([]string{ours, spares, peerC, memory}, func(kind string) error {
		content := "type=ext4"
		if kind == spares {
			content = "command=" + mkfsCommand
		}
		servers, err := t.startAll(10, "1G", []string{kind}, content)
		if err != nil {
			return err
		}
		return held.add(t, servers[0])
	})
}

// stay has n clients come at once, read, and stay.
func (t *trial) stay(n int) error {
	took := t.report.series(t.name, "ms")
	goals := []goal{{ours, peerC, 1}}
	if n == 1000 {
		goals = append(goals, goal{ours, "", 46}) // what 0.1 took
	}
	held := t.holdings(goals...)
	return t.anew([]string{ours, peerC}, func(kind string) error {
		return t.crowd(kind, n, took, held, "type=ext4")
	})
}

// makers is stay with a command that notes its beginning and its end, and so
// counts exactly how many of it ran at the same time.
func (t *trial) makers(n int) error {
	took := t.report.series(t.name, "ms")
	most := t.report.series(t.name, "makers at once")
	held := t.holdings(goal{ours, peerC, 1})
	return t.anew([]string{ours, peerC}, func(kind string) error {
		notes := filepath.Join(t.dir, "notes")
		defer os.Remove(notes)
		command := fmt.Sprintf(`printf + >>%q; %s || exit; printf - >>%[1]q`, notes, mkfsCommand)
		if err := t.crowd(kind, n, took, held, "command="+command); err != nil {
			return err
		}
		ran, err := mostAtOnce(notes)
		if err != nil {
			return err
		}
		most.add(kind, float64(ran))
		if kind == ours && ran > runtime.NumCPU() {
			return fmt.Errorf("%d makers ran at once, more than the %d CPUs", ran, runtime.NumCPU())
		}
		return nil
	})
}

// crowd measures a new server of the kind while n clients have disks of it.
func (t *trial) crowd(kind string, n int, took *series, held holdings, content string) error {
	servers, err := t.startAll(0, "1G", []string{kind}, content)
	if err != nil {
		return err
	}
	clients, d, err := rush(servers[0].socket, n)
	defer leave(clients)
	if err != nil {
		return err
	}
	took.add(kind, millis(d))
	return held.add(t, servers[0])
}

// mostAtOnce reads notes of + for each beginning and - for each end.
func mostAtOnce(notes string) (most int, err error) {
	text, err := os.ReadFile(notes)
	now := 0
	for _, b := range bytes.TrimSpace(text) {
		if b == '+' {
			now++
		} else {
			now--
		}
		most = max(most, now)
	}
	return most, err
}
