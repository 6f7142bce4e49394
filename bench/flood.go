// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of server of flood: tmpdisk.so on TCP.
const (
	quiet     = "quiet"     // with client-rate, and nobody floods it
	limited   = "limited"   // with client-rate
	unlimited = "unlimited" // without
)

const floodRate = 8 << 20 // bytes a second that a client may have

// flood is how long the reads of seven clients take while an eighth reads as much
// as it gets, and how much that is.
func (t *trial) flood() error {
	latency := t.report.series(t.name, "µs", goal{limited, quiet, 1.5})
	off := t.report.series(t.name, "% off its rate", goal{limited, "", 5})
	var servers []*server
	for _, kind := range []string{quiet, limited, unlimited} {
		args := []string{"type=ext4"}
		if kind != unlimited {
			args = append(args, "client-rate=8M")
		}
		s, err := t.start(t.ctx, kind, "1G", args...)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	return t.interleave(t.rounds(9, 3), servers, func(s *server, count bool) error {
		took, rate, err := underFlood(s)
		if err != nil || !count {
			return err
		}
		latency.add(s.name, took)
		if s.name == limited {
			off.add(s.name, 100*math.Abs(rate/floodRate-1))
		}
		return nil
	})
}

// underFlood returns the median of the seven clients' times, in microseconds, and
// how many bytes a second the eighth has got once its burst was over.
func underFlood(s *server) (took, rate float64, err error) {
	clients := make([]*client, 8)
	defer func() { leave(clients) }()
	for i := range clients {
		if clients[i], err = connectFrom(net.IPv4(127, 0, 0, byte(i+2)), s.socket); err != nil {
			return 0, 0, err
		}
	}
	var all sync.WaitGroup
	var over atomic.Bool
	var got atomic.Int64
	errs := make([]error, 8)
	if s.name != quiet {
		all.Add(1)
		go func() {
			defer all.Done()
			for errs[7] == nil && !over.Load() {
				errs[7] = clients[7].stream(cmdRead, 128, 16, 64<<20)
				got.Add(128 * maxSize)
			}
		}()
		time.Sleep(1500 * time.Millisecond)
	}
	before, began := got.Load(), time.Now()
	times := make([][]float64, 7)
	for i := range times {
		all.Add(1)
		go func() {
			defer all.Done()
			for errs[i] == nil && time.Since(began) < 2*time.Second {
				asked := time.Now()
				errs[i] = clients[i].do(cmdRead, 0, maxSize)
				times[i] = append(times[i], float64(time.Since(asked).Nanoseconds())/1e3)
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	time.Sleep(2 * time.Second)
	rate = float64(got.Load()-before) / time.Since(began).Seconds()
	over.Store(true)
	all.Wait()
	var each []float64
	for _, t := range times {
		each = append(each, t...)
	}
	return spreadOf(each).median, rate, errors.Join(errs...)
}

// connectFrom is connect for a server on TCP, from that address.
func connectFrom(from net.IP, server string) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.Dial("tcp", server)
	if err != nil {
		return nil, err
	}
	return newClient(conn, "", 16*(16+maxSize))
}

// freePort is an address of this machine that nobody listens on.
func freePort() (host, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	return net.SplitHostPort(l.Addr().String())
}
