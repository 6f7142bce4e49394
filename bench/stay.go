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

// stay has n clients come at once, read, and stay. It counts the makers that
// ran at the same time, exactly: the command notes its beginning and its end.
// Each round has new servers, because memory that was used stays with them.
func (t *trial) stay(n int) error {
	kinds := []string{ours, peerC}
	took, most := &series{}, &series{}
	if n == 0 {
		kinds = []string{ours, spares, peerC, memory}
	} else {
		took = t.report.series(t.name, "ms")
		most = t.report.series(t.name, "makers at once")
	}
	below := []goal{{ours, peerC, 1}}
	if n == 0 {
		below = nil
	}
	pss := t.report.series(t.name, "MiB PSS", below...)
	rss := t.report.series(t.name, "MiB RSS", below...)
	threads := t.report.series(t.name, "threads")

	for i := range t.rounds(3, 1) {
		for j := range kinds {
			kind := kinds[(i+j)%len(kinds)]
			notes := filepath.Join(t.dir, fmt.Sprintf("notes-%s-%d", kind, i))
			if n == 0 {
				os.WriteFile(notes, nil, 0o600)
			}
			command := fmt.Sprintf(`printf + >>%q; truncate -s "$size" "$disk" && mkfs.ext4 -qF "$disk" || exit; printf - >>%[1]q`, notes)
			servers, err := t.startAll(10, "1G", []string{kind}, "command="+command)
			if err != nil {
				return err
			}
			s := servers[0]
			clients, d, err := rush(s.socket, n)
			if err != nil {
				leave(clients)
				return fmt.Errorf("%s: %w", kind, err)
			}
			if err := pause(t.ctx, 500*time.Millisecond); err != nil {
				return err
			}
			f, err := s.footprint()
			if err != nil {
				return err
			}
			took.add(kind, millis(d))
			pss.add(kind, f.pss)
			rss.add(kind, f.rss)
			threads.add(kind, f.threads)
			makers, err := mostAtOnce(notes)
			if err != nil {
				return err
			}
			most.add(kind, float64(makers))
			leave(clients)
			if err := t.stop(); err != nil {
				return err
			}
			if kind == ours && makers > runtime.NumCPU() {
				return fmt.Errorf("%d makers ran at once, more than the %d CPUs", makers, runtime.NumCPU())
			}
		}
	}
	return nil
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
