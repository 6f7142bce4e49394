// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
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
	{"connect-ext4", "connect to first 4 KiB read, ext4 16G", func(t *trial) error { return t.connect("ext4") }},
	{"connect-xfs", "the same for xfs 16G", func(t *trial) error { return t.connect("xfs") }},
	{"connect-btrfs", "the same for btrfs 16G", func(t *trial) error { return t.connect("btrfs") }},
	{"connect-vfat", "the same for vfat 16G", func(t *trial) error { return t.connect("vfat") }},
	{"connect-exfat", "the same for exfat 16G", func(t *trial) error { return t.connect("exfat") }},
	{"connect-f2fs", "the same for f2fs 16G", func(t *trial) error { return t.connect("f2fs") }},
	{"connect-swap", "the same for swap 16G", func(t *trial) error { return t.connect("swap") }},
	{"connect-ntfs", "the same for ntfs 16G", func(t *trial) error { return t.connect("ntfs") }},
	{"connect-ext3-1T", "the same for ext3 1T, which has 71 MiB to share", (*trial).connectLarge},
	{"connect-2s", "the same for a command that takes 2 s", (*trial).connectSlow},
	{"storm-100", "100 clients at once, ext4 16G: until the last has read", (*trial).storm},
	{"storm-command-100", "the same for a command that runs mkfs.ext4", (*trial).stormOfCommands},
	{"rate-8", "8 clients that connect, read 4 KiB and hang up, again and again, ext4 16G", (*trial).rate},
	{"cpu-read-1", "server CPU per 4 KiB read, depth 1", func(t *trial) error { return t.perRequest(cmdRead, 1, 1) }},
	{"cpu-write-1", "server CPU per 4 KiB write, depth 1", func(t *trial) error { return t.perRequest(cmdWrite, 1, 1) }},
	{"cpu-read-16", "server CPU per 4 KiB read, depth 16", func(t *trial) error { return t.perRequest(cmdRead, 16, 1) }},
	{"cpu-write-16", "server CPU per 4 KiB write, depth 16", func(t *trial) error { return t.perRequest(cmdWrite, 16, 1) }},
	{"parallel-8-read", "8 clients side by side, 4 KiB reads, depth 4", func(t *trial) error { return t.perRequest(cmdRead, 4, 8) }},
	{"parallel-8-write", "8 clients side by side, 4 KiB writes, depth 4", func(t *trial) error { return t.perRequest(cmdWrite, 4, 8) }},
	{"session-read-16", "server CPU per 4 KiB read of a session, depth 16", func(t *trial) error { return t.ofSession(cmdRead) }},
	{"session-write-16", "server CPU per 4 KiB write of a session, depth 16", func(t *trial) error { return t.ofSession(cmdWrite) }},
	{"flood-8", "reads of 7 clients while an eighth floods the server with its own", (*trial).flood},
	{"nbdcopy-8G", "nbdcopy of a fresh ext4 8G to nowhere", (*trial).nbdcopy},
	{"zero-1G", "zeroing 1 GiB of a fresh disk, 8 requests", (*trial).zero},
	{"base-connect", "connect to first 4 KiB read, a disk over an image full of data", (*trial).baseConnect},
	{"base-storm-100", "100 clients at once of the same, until the last has read", (*trial).baseStorm},
	{"base-read-20", "20 clients at once read the whole image", (*trial).baseRead},
	{"base-write-1", "first writes of 4 KiB to such a disk, then the same again, depth 1", func(t *trial) error { return t.baseWrite(1) }},
	{"base-write-16", "the same at depth 16", func(t *trial) error { return t.baseWrite(16) }},
	{"base-stay-100", "what 100 clients hold that have written 1 MiB each", func(t *trial) error { return t.baseStay(256) }},
	{"base-fresh-100", "the same of clients that have only read", func(t *trial) error { return t.baseStay(0) }},
	{"base-cpu-read", "server CPU per 4 KiB read, depth 16: the image's part and the client's own", func(t *trial) error { return t.baseCPU(cmdRead) }},
	{"base-cpu-rewrite", "the same of writes to the client's own part", func(t *trial) error { return t.baseCPU(cmdWrite) }},
	{"clone-16M", "connect to first 4 KiB read, a disk with 16 MiB of data", func(t *trial) error { return t.clone(16) }},
	{"clone-128M", "the same with 128 MiB", func(t *trial) error { return t.clone(128) }},
	{"clone-512M", "the same with 512 MiB", func(t *trial) error { return t.clone(512) }},
	{"stay-0", "the server with no client, ext4 1G", (*trial).idle},
	{"stay-100", "100 clients come at once and stay, ext4 1G", func(t *trial) error { return t.stay(100) }},
	{"stay-1000", "1,000 clients come at once and stay, ext4 1G", func(t *trial) error { return t.stay(1000) }},
	{"many-10000", "10,000 clients of one server that have written and stay, ext4 1G", func(t *trial) error { return t.many(10000) }},
	{"makers-1000", "the same for a command that runs mkfs.ext4: how many run at once", func(t *trial) error { return t.makers(1000) }},
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

// connect is the time from connect(2) to the first 4 KiB in hand, of 16 GiB
// disks of a built-in type.
func (t *trial) connect(fsType string) error {
	servers, err := t.startAll(0, "16G", []string{ours, memory}, "type="+fsType)
	if err != nil {
		return err
	}
	// nbdkit's own plugin cannot make the first, and fails with the other.
	content := map[string]string{
		"swap":  `command=truncate -s "$size" "$disk" && mkswap "$disk"`,
		"exfat": `command=truncate -s "$size" "$disk" && mkfs.exfat "$disk"`,
	}[fsType]
	if content == "" {
		content = "type=" + fsType
	}
	c, err := t.startAll(0, "16G", []string{peerC}, content)
	if err != nil {
		return err
	}
	servers = append(servers, c...)
	took := t.report.series(t.name, "ms", goal{ours, memory, 1.5}, goal{ours, peerC, 0.1})
	return t.interleave(t.rounds(25, 5), servers, t.untilFirstRead(took))
}

// connectLarge is connect without nbdkit's own plugin, which takes seconds.
func (t *trial) connectLarge() error {
	servers, err := t.startAll(0, "1T", []string{ours, memory}, "type=ext3")
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{ours, memory, 1.5})
	return t.interleave(t.rounds(25, 5), servers, t.untilFirstRead(took))
}

// connectSlow is connect for a command. Spares are made again before the next
// client comes.
func (t *trial) connectSlow() error {
	servers, err := t.startAll(2, "16G", []string{ours, spares, peerC, memory}, "command="+slowCommand)
	if err != nil {
		return err
	}
	took := t.report.series(t.name, "ms", goal{spares, memory, 1.3}, goal{spares, peerC, 0.1})
	return t.interleave(t.rounds(7, 1), servers, t.untilFirstRead(took))
}

// untilFirstRead is connect's measure.
func (t *trial) untilFirstRead(took *series) func(s *server, count bool) error {
	return func(s *server, count bool) error {
		began := time.Now()
		c, err := connect(s.socket)
		if err != nil {
			return err
		}
		if err := c.do(cmdRead, 0, maxSize); err != nil {
			return err
		}
		if count {
			took.add(s.name, millis(time.Since(began)))
		}
		c.close()
		return s.settle(t.ctx)
	}
}

// perRequest is the server's CPU time for one request, and the time by the
// clock, with this many clients that each have depth requests under way. The
// disk's first 64 MiB are written before, so that reads find data.
func (t *trial) perRequest(cmd uint16, depth, clients int) error {
	cpu, clock := t.perRequestSeries(goal{ours, peerC, 1})
	return t.requests(cmd, depth, clients, t.rounds(31, 7), []string{ours, peerC, memory}, cpu, clock)
}

func (t *trial) perRequestSeries(want goal) (cpu, clock *series) {
	return t.report.series(t.name, "µs CPU", want), t.report.series(t.name, "µs")
}

// ofSession is perRequest for a disk that waits for its client, beside one that
// does not. Where the kernel happens to put a server's memory makes more
// difference than is looked for, so it is measured on many pairs of servers.
func (t *trial) ofSession(cmd uint16) error {
	cpu, clock := t.perRequestSeries(goal{sessions, ours, 1.02})
	for range t.rounds(12, 4) {
		if err := t.requests(cmd, 16, 1, 5, []string{sessions, ours}, cpu, clock); err != nil {
			return err
		}
		if err := t.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) requests(cmd uint16, depth, clients, rounds int, kinds []string, cpu, clock *series) error {
	const span = 64 << 20
	servers, err := t.startAll(0, "1G", kinds, "type=ext4")
	if err != nil {
		return err
	}
	conns := map[*server][]*client{}
	for _, s := range servers {
		export := ""
		if slices.Contains(kinds, sessions) {
			export = s.export
		}
		for range clients {
			c, err := connectTo(s.socket, export)
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
	return t.interleave(rounds, servers, func(s *server, counts bool) error {
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
		if err := errors.Join(err, cpuErr); err != nil {
			return err
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
