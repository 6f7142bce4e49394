// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// scenario is one thing that is measured.
type scenario struct {
	name, what string
	run        func(t *trial) error
}

// slowCommand takes 2 s whatever the machine.
const slowCommand = `truncate -s "$size" "$disk"; sleep 2`

var scenarios = []scenario{
	{"connect-ext4", "connect to first 4 KiB read, ext4 16G", func(t *trial) error { return t.connect("16G", "type=ext4") }},
	{"connect-xfs", "connect to first 4 KiB read, xfs 16G", func(t *trial) error { return t.connect("16G", "type=xfs") }},
	{"connect-ntfs", "connect to first 4 KiB read, ntfs 16G", func(t *trial) error { return t.connect("16G", "type=ntfs") }},
	{"connect-2s", "connect to first 4 KiB read, a command that takes 2 s", func(t *trial) error { return t.connect("16G", "command="+slowCommand) }},
	{"storm-100", "100 clients at once, ext4 16G: until the last has read", (*trial).storm},
	{"cpu-read-1", "server CPU per 4 KiB read, depth 1", func(t *trial) error { return t.perRequest(cmdRead, 1, 1) }},
	{"cpu-write-1", "server CPU per 4 KiB write, depth 1", func(t *trial) error { return t.perRequest(cmdWrite, 1, 1) }},
	{"cpu-read-16", "server CPU per 4 KiB read, depth 16", func(t *trial) error { return t.perRequest(cmdRead, 16, 1) }},
	{"cpu-write-16", "server CPU per 4 KiB write, depth 16", func(t *trial) error { return t.perRequest(cmdWrite, 16, 1) }},
	{"parallel-8-read", "8 clients side by side, 4 KiB reads, depth 4", func(t *trial) error { return t.perRequest(cmdRead, 4, 8) }},
	{"parallel-8-write", "8 clients side by side, 4 KiB writes, depth 4", func(t *trial) error { return t.perRequest(cmdWrite, 4, 8) }},
	{"nbdcopy-8G", "nbdcopy of a fresh ext4 8G to nowhere", (*trial).nbdcopy},
	{"zero-1G", "zeroing 1 GiB of a fresh disk, 8 requests", (*trial).zero},
	{"clone-16M", "connect to first 4 KiB read, a disk with 16 MiB of data", func(t *trial) error { return t.clone(16) }},
	{"clone-128M", "the same with 128 MiB", func(t *trial) error { return t.clone(128) }},
	{"clone-512M", "the same with 512 MiB", func(t *trial) error { return t.clone(512) }},
	{"stamp-ext4", "mkfs, or a clone with a new UUID: ext4 1G", func(t *trial) error { return t.stamp("1G", "ext4", "") }},
	{"stamp-ext3", "the same for ext3 1G", func(t *trial) error { return t.stamp("1G", "ext3", "") }},
	{"stamp-btrfs", "the same for btrfs 16G", func(t *trial) error { return t.stamp("16G", "btrfs", "") }},
	{"stamp-ntfs", "the same for ntfs 16G", func(t *trial) error { return t.stamp("16G", "ntfs", "") }},
	{"stamp-vfat", "the same for vfat 16G", func(t *trial) error { return t.stamp("16G", "vfat", "") }},
	{"stamp-xfs", "why there is none for xfs", func(t *trial) error { return t.stamp("16G", "xfs", `xfs_admin -U generate "$disk"`) }},
	{"stamp-ext4-128G", "why there is none for large ext4", func(t *trial) error { return t.stamp("128G", "ext4", `tune2fs -U random "$disk"`) }},
	{"stay-0", "the server with no client", func(t *trial) error { return t.stay(0) }},
	{"stay-100", "100 clients come at once and stay, ext4 1G", func(t *trial) error { return t.stay(100) }},
	{"stay-1000", "1,000 clients come at once and stay, ext4 1G", func(t *trial) error { return t.stay(1000) }},
}

// trial is a scenario under way.
type trial struct {
	*lab
	report *report
	ctx    context.Context
	name   string
	quick  bool
}

func (t *trial) rounds(full, quick int) int {
	if t.quick {
		return quick
	}
	return full
}

// interleave measures every server once in every round, each round beginning
// with another one. The first round warms up and does not count.
func (t *trial) interleave(rounds int, servers []*server, measure func(s *server, count bool) error) error {
	for i := range rounds + 1 {
		for j := range servers {
			if err := t.ctx.Err(); err != nil {
				return err
			}
			s := servers[(i+j)%len(servers)]
			if err := measure(s, i > 0); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// startAll starts one server of each kind; spares keeps that many.
func (t *trial) startAll(spareDisks int, size string, kinds []string, args ...string) ([]*server, error) {
	var all []*server
	for _, kind := range kinds {
		own := args
		if kind == spares {
			own = append([]string{fmt.Sprintf("spare-disks=%d", spareDisks)}, args...)
		}
		s, err := t.start(t.ctx, kind, size, own...)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.settle(t.ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// connect is the time from connect(2) to the first 4 KiB in hand. Spares are
// made again before the next client comes.
func (t *trial) connect(size string, args ...string) error {
	servers, err := t.startAll(2, size, []string{ours, spares, peerC, memory}, args...)
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{spares, memory, 1.3}, goal{spares, peerC, 0.1})
	rounds := t.rounds(25, 5)
	if t.name == "connect-2s" {
		rounds = t.rounds(7, 1)
	}
	return t.interleave(rounds, servers, t.untilFirstRead(took))
}

// rush connects n clients at once, each of which reads once.
func rush(socket string, n int) (clients []*client, took time.Duration, err error) {
	clients = make([]*client, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			if clients[i], errs[i] = connect(socket); errs[i] == nil {
				errs[i] = clients[i].do(cmdRead, 0, maxSize)
			}
		}()
	}
	all.Wait()
	took = time.Since(began)
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

func (t *trial) storm() error {
	servers, err := t.startAll(100, "16G", []string{ours, spares, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{ours, peerC, 0.5}, goal{spares, peerC, 0.2})
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

// perRequest is the server's CPU time for one request, and the time by the
// clock, with this many clients that each have depth requests under way. The
// disk's first 64 MiB are written before, so that reads find data.
func (t *trial) perRequest(cmd uint16, depth, clients int) error {
	const span = 64 << 20
	servers, err := t.startAll(0, "1G", []string{ours, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	cpu := t.report.series(t.name, "µs CPU", goal{ours, peerC, 1})
	clock := t.report.series(t.name, "µs")
	conns := map[*server][]*client{}
	for _, s := range servers {
		for range clients {
			c, err := connect(s.socket)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.stream(cmdWrite, span/maxSize, 16, span); err != nil {
				return err
			}
			conns[s] = append(conns[s], c)
		}
	}
	count := t.rounds(24000, 8000) / clients
	return t.interleave(t.rounds(31, 7), servers, func(s *server, counts bool) error {
		errs := make(chan error, clients)
		before, err := s.cpu()
		if err != nil {
			return err
		}
		began := time.Now()
		for _, c := range conns[s] {
			go func() { errs <- c.stream(cmd, count, depth, span) }()
		}
		for range clients {
			if e := <-errs; e != nil {
				err = e
			}
		}
		took := time.Since(began)
		after, cpuErr := s.cpu()
		if err != nil || cpuErr != nil {
			return fmt.Errorf("%w (cpu clock: %v)", err, cpuErr)
		}
		if counts {
			n := float64(count * clients)
			cpu.add(s.name, float64((after-before).Nanoseconds())/1e3/n)
			clock.add(s.name, float64(took.Nanoseconds())/1e3/n)
		}
		return nil
	})
}

func (t *trial) nbdcopy() error {
	if _, err := exec.LookPath("nbdcopy"); err != nil {
		return err
	}
	servers, err := t.startAll(0, "8G", []string{ours, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{ours, peerC, 0.02})
	return t.interleave(t.rounds(3, 1), servers, func(s *server, count bool) error {
		if s.name == peerC && !count {
			return nil // a quarter of a minute, and it has nothing to warm
		}
		began := time.Now()
		cmd := exec.CommandContext(t.ctx, "nbdcopy", "nbd+unix:///?socket="+s.socket, "null:")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("nbdcopy: %w", err)
		}
		if count {
			took.add(s.name, millis(time.Since(began)))
		}
		return s.settle(t.ctx)
	})
}

func (t *trial) zero() error {
	const step, steps = 128 << 20, 8
	servers, err := t.startAll(0, "2G", []string{ours, peerC, memory}, "type=ext4")
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{ours, peerC, 0.02})
	return t.interleave(t.rounds(9, 2), servers, func(s *server, count bool) error {
		c, err := connect(s.socket)
		if err != nil {
			return err
		}
		defer c.close()
		began := time.Now()
		for i := range uint64(steps) {
			if err := c.do(cmdWriteZeroes, i*step, step); err != nil {
				return err
			}
		}
		if count {
			took.add(s.name, millis(time.Since(began)))
		}
		return nil
	})
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
