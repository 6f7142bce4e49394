// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// mkfsCommand is what type=ext4 would run.
const mkfsCommand = `truncate -s "$size" "$disk" && mkfs.ext4 -qF "$disk"`

// together connects n clients at once, each of which then does something. The error of
// each is in errs.
func together[C any](n int, connect func() (C, error), do func(C) error) (clients []C, took time.Duration, errs []error) {
	clients, errs = make([]C, n), make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			if clients[i], errs[i] = connect(); errs[i] == nil {
				errs[i] = do(clients[i])
			}
		}()
	}
	all.Wait()
	return clients, time.Since(began), errs
}

// rush connects n clients at once, each of which reads once.
func rush(socket string, n int) (clients []*client, took time.Duration, err error) {
	clients, took, errs := together(n, func() (*client, error) { return connect(socket) },
		func(c *client) error { return c.do(cmdRead, 0, maxSize) })
	failed := 0
	for _, e := range errs {
		if e != nil {
			failed++
			err = fmt.Errorf("%d of %d clients failed, one of them: %w", failed, n, e)
		}
	}
	return clients, took, err
}

func leave(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.close()
		}
	}
}

// storm is the time until each of 100 clients that come at once has read.
func (t *trial) storm() error {
	servers, err := t.startAll(0, "16G", []string{ours, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	return t.stormOn(servers, goal{ours, memory, 1.5}, goal{ours, peerC, 0.1})
}

func (t *trial) stormOfCommands() error {
	servers, err := t.startAll(100, "16G", []string{ours, spares, peerC}, "command="+mkfsCommand)
	if err != nil {
		return err
	}
	return t.stormOn(servers, goal{spares, peerC, 0.2})
}

func (t *trial) stormOn(servers []*server, goals ...goal) error {
	took := t.report.series(t.name, "ms", goals...)
	return t.interleave(t.rounds(9, 2), servers, func(s *server, count bool) error {
		clients, d, err := rush(s.socket, 100)
		leave(clients)
		if err != nil {
			return err
		}
		if count {
			took.add(s.name, millis(d))
		}
		return s.settle(t.ctx)
	})
}

// rate is how many disks a server can make: 8 clients in turn connect, read
// 4 KiB and hang up, for 10 seconds in all.
func (t *trial) rate() error {
	const clients = 8
	servers, err := t.startAll(0, "16G", []string{ours, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	perSecond := t.report.series(t.name, "disks/s")
	clock := t.report.series(t.name, "µs/disk", goal{ours, memory, 1 / 0.6})
	cpu := t.report.series(t.name, "µs CPU/disk", goal{ours, memory, 1.6})
	lasts := 2 * time.Second
	if t.quick {
		lasts = 500 * time.Millisecond
	}
	return t.interleave(t.rounds(5, 4), servers, func(s *server, count bool) error {
		before, err := s.cpuOfAll()
		if err != nil {
			return err
		}
		disks, took, err := visit(s.socket, clients, lasts)
		if err != nil {
			return err
		}
		if err := s.settle(t.ctx); err != nil { // the last disks are closed as well
			return err
		}
		after, err := s.cpuOfAll()
		if err != nil {
			return err
		}
		if count {
			n := float64(disks)
			perSecond.add(s.name, n/took.Seconds())
			clock.add(s.name, float64(took.Microseconds())/n)
			cpu.add(s.name, float64((after-before).Microseconds())/n)
		}
		return nil
	})
}

// visit lets n clients connect, read and hang up in a loop, and returns how
// many disks they have seen.
func visit(socket string, n int, lasts time.Duration) (disks int, took time.Duration, err error) {
	counts, errs := make([]int, n), make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			for errs[i] == nil && time.Since(began) < lasts {
				var c *client
				if c, errs[i] = connect(socket); errs[i] == nil {
					errs[i] = c.do(cmdRead, 0, maxSize)
					c.close()
					counts[i]++
				}
			}
		}()
	}
	all.Wait()
	took = time.Since(began)
	for _, count := range counts {
		disks += count
	}
	return disks, took, errors.Join(errs...)
}
