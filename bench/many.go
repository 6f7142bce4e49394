// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	atOnce    = 64               // clients that connect at a time
	patience  = 60 * time.Second // for all of them
	probes    = 8                // requests at a time while latencies are measured
	sampling  = 5 * time.Second  // once all are there
	probeGap  = 2 * time.Millisecond
	leftAlone = 4096 // process IDs that the rest of the machine keeps
)

// many has n clients come one after another, write, and stay. A server that
// refuses some, or that takes too long, is measured with those it has served.
func (t *trial) many(n int) error {
	if t.quick {
		n /= 10
	}
	unit := func(unit string) *series { return t.report.series(t.name, unit) }
	m := manySeries{
		unit("served"), unit("s"), unit("ms/client"), unit("PSS, MiB"), unit("KiB PSS/client"),
		unit("threads"), unit("descriptors"), unit("mappings"),
		[2]latency{{unit("µs, arriving"), unit("µs 99%, arriving")}, {unit("µs, there"), unit("µs 99%, there")}},
	}
	for _, kind := range []string{ours, peerC} {
		if err := t.manyOn(kind, n, m); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if err := t.stop(); err != nil {
			return err
		}
	}
	return nil
}

// manySeries are the series of many.
type manySeries struct {
	served, took, tookEach, pss, pssEach *series
	threads, descriptors, mappings       *series
	latency                              [2]latency // while clients arrive, and once they are there
}

// latency is the median and the 99th percentile.
type latency struct{ median, p99 *series }

func (l latency) add(kind string, times []float64) {
	slices.Sort(times)
	l.median.add(kind, quantile(times, 0.5))
	l.p99.add(kind, quantile(times, 0.99))
}

func (t *trial) manyOn(kind string, n int, m manySeries) error {
	servers, err := t.startAll(0, "1G", []string{kind}, "type=ext4")
	if err != nil {
		return err
	}
	s := servers[0]
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	all, err := arrive(ctx, s, probes, 0)
	defer func() { leaveAll(all) }()
	if err != nil {
		return err
	}
	first, arrived := all, make(chan struct{})
	asked := make(chan sample, 1)
	go func() { asked <- ask(first, arrived) }()
	began := time.Now()
	rest, refused := arrive(ctx, s, n-probes, probes)
	took := time.Since(began)
	close(arrived)
	arriving := <-asked
	all = append(all, rest...)
	if refused != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %s: %d of %d clients were served: %v\n", t.name, kind, len(all), n, refused)
	}
	if err := errors.Join(arriving.err, t.ctx.Err()); err != nil {
		return err
	}
	m.served.add(kind, float64(len(all)))
	m.took.add(kind, took.Seconds())
	m.tookEach.add(kind, millis(took)/float64(len(rest)))
	m.latency[0].add(kind, arriving.times)
	if err := m.addHeld(t, s, len(all)); err != nil {
		return err
	}
	over := make(chan struct{})
	time.AfterFunc(sampling, func() { close(over) })
	there := ask(all, over)
	m.latency[1].add(kind, there.times)
	return errors.Join(there.err, verify(all))
}

// addHeld adds what the server holds for n clients once it has come to rest.
func (m manySeries) addHeld(t *trial, s *server, n int) error {
	if err := s.settle(t.ctx); err != nil {
		return err
	}
	held, err := s.footprint()
	if err != nil {
		return err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
	if err != nil {
		return err
	}
	mapped, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.pid()))
	m.pss.add(s.name, held.pss)
	m.pssEach.add(s.name, held.pss*1024/float64(n))
	m.threads.add(s.name, held.threads)
	m.descriptors.add(s.name, float64(len(open)))
	m.mappings.add(s.name, float64(bytes.Count(mapped, []byte("\n"))))
	return err
}

// guest is a client that has written to its disk.
type guest struct {
	*client
	number int
}

// arrive connects n clients, a few at a time, and numbers them from number on. It
// ends early, with the reason, when one is refused.
func arrive(ctx context.Context, s *server, n, number int) (all []*guest, refused error) {
	guests, errs := make([]*guest, n), make([]error, n)
	var next atomic.Int64
	var over atomic.Bool
	var each sync.WaitGroup
	for range min(atOnce, n) {
		each.Add(1)
		go func() {
			defer each.Done()
			for !over.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = mayArrive(ctx); errs[i] == nil {
					guests[i], errs[i] = newGuest(s, number+i)
				}
				if errs[i] != nil {
					over.Store(true)
				}
			}
		}()
	}
	each.Wait()
	for i, g := range guests {
		if g != nil {
			all = append(all, g)
		}
		if refused == nil {
			refused = errs[i]
		}
	}
	return all, refused
}

// mayArrive returns an error if another client would take too long, or the last
// process IDs of the machine, which others need as well.
func mayArrive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("limit of the bench: %w", err)
	}
	var most, running, tasks int
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	limit, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return err
	}
	var ignored float64
	if _, err := fmt.Sscanf(string(load), "%f %f %f %d/%d", &ignored, &ignored, &ignored, &running, &tasks); err != nil {
		return fmt.Errorf("/proc/loadavg: %q: %w", load, err)
	}
	if _, err := fmt.Sscan(string(limit), &most); err != nil {
		return fmt.Errorf("pid_max: %q: %w", limit, err)
	}
	if tasks > most-leftAlone {
		return fmt.Errorf("limit of the bench: %d tasks on this machine, and pid_max is %d", tasks, most)
	}
	return nil
}

func newGuest(s *server, number int) (*guest, error) {
	conn, err := dial(s.socket)
	if err != nil {
		return nil, err
	}
	c, err := newClient(conn, "", 512) // of which there are many
	if err != nil {
		return nil, err
	}
	g := &guest{client: c, number: number}
	if err := g.write(); err != nil {
		c.close()
		return nil, err
	}
	return g, nil
}

// place is where the guest writes, far from what mkfs has written.
func (g *guest) place() uint64 { return 256<<20 + uint64(g.number)*16384 }

// write writes 4 KiB that no other guest has.
func (g *guest) write() error {
	g.fill(g.out[28:])
	return g.do(cmdWrite, g.place(), maxSize)
}

func (g *guest) read() error { return g.do(cmdRead, g.place(), maxSize) }

func (g *guest) fill(b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], uint64(g.number)<<32|uint64(i))
	}
}

// sample is how long requests have taken, in microseconds.
type sample struct {
	times []float64
	err   error
}

// ask has requests sent by the guests in turn, a few at a time, until done is
// closed. Every second one is a write.
func ask(guests []*guest, done <-chan struct{}) (s sample) {
	each := make([]sample, probes)
	var all sync.WaitGroup
	for i := range each {
		all.Add(1)
		go func() {
			defer all.Done()
			// No guest is asked by two, and all are, whatever their number.
			mine := guests[len(guests)*i/probes : len(guests)*(i+1)/probes]
			for n := 0; each[i].err == nil; n++ {
				select {
				case <-done:
					return
				case <-time.After(probeGap):
				}
				g := mine[uint64(n/2)*2654435761%uint64(len(mine))]
				request := g.read
				if n%2 == 1 {
					request = g.write
				}
				began := time.Now()
				each[i].err = request()
				each[i].times = append(each[i].times, float64(time.Since(began).Nanoseconds())/1e3)
			}
		}()
	}
	all.Wait()
	for _, e := range each {
		s.times = append(s.times, e.times...)
		s.err = errors.Join(s.err, e.err)
	}
	return s
}

// verify reads what each guest has written.
func verify(guests []*guest) error {
	want := make([]byte, maxSize)
	for _, g := range guests {
		g.fill(want)
		if err := g.read(); err != nil {
			return err
		}
		if !bytes.Equal(g.data[:], want) {
			return fmt.Errorf("client %d reads what it has not written", g.number)
		}
	}
	return nil
}

func leaveAll(guests []*guest) {
	for _, g := range guests {
		g.close()
	}
}
