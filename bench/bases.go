// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kinds of server that have an image under each client's disk, besides ours and C.
const (
	peerNBD  = "nbd-server" // with copyonwrite: a process and a file of differences for each client
	peerQemu = "qemu-nbd"   // one of them, and a qcow2 overlay, for each client
	peerCow  = "cow"        // nbdkit file with its cow filter: one overlay, which all clients share
)

// Disks to compare with one over an image.
const (
	plain = "plain" // tmpdisk.so without base=, all of it written
	own   = "own"   // ours, all of it written
)

// based is a trial whose servers serve one image.
type based struct {
	*trial
	image string
	size  uint64
}

// onImage calls run with an image of so many MiB of data.
func (t *trial) onImage(mib int, run func(b *based) error) error {
	b := &based{trial: t, image: filepath.Join(t.disks, "base.img"), size: uint64(mib) << 20}
	defer os.Remove(b.image)
	// Not /dev/urandom for 16 GiB; but nothing must find it to repeat.
	// On the filesystem of the disks, where cp and nbd-server would have it too.
	script := `openssl enc -aes-128-ctr -nosalt -pass pass:x -in /dev/zero 2>/dev/null | head -c "$2" >"$1" && sync "$1"`
	if err := runShell(script, b.image, strconv.FormatUint(b.size, 10)); err != nil {
		return err
	}
	return run(b)
}

// servers starts one of each kind. What the machine does not have is left out.
func (b *based) servers(kinds ...string) (all []*server, err error) {
	for _, kind := range kinds {
		s, err := b.serve(kind)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(os.Stderr, "bench: %s: without %s: %v\n", b.name, kind, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (b *based) serve(kind string) (*server, error) {
	size := strconv.FormatUint(b.size, 10)
	switch kind {
	case ours, own:
		s, err := b.start(b.ctx, ours, size, "base="+b.image)
		if s != nil {
			s.name = kind
		}
		return s, err
	case plain:
		return b.start(b.ctx, plain, size, "type=swap")
	case peerC:
		return b.start(b.ctx, peerC, size, "image="+b.image, `command=cp --sparse=always "$image" "$disk"`)
	case memory:
		return b.start(b.ctx, memory, size)
	}
	b.count++
	base := filepath.Join(b.dir, strconv.Itoa(b.count))
	s := &server{name: kind, socket: base + ".sock", log: base + ".log", ended: make(chan error, 1)}
	listens := func() bool {
		info, err := os.Stat(s.socket)
		return err == nil && info.Mode()&os.ModeSocket != 0
	}
	switch kind {
	case peerQemu:
		_, err := exec.LookPath(peerQemu)
		return s, err // each client starts its own
	case peerCow:
		return s, b.launch(b.ctx, s, b.nbdkit, []string{"-f", "--exit-with-parent", "-U", s.socket, "--filter=cow", "file", b.image}, listens)
	}
	config := fmt.Sprintf("[generic]\nunixsock = %s\n[base]\nexportname = %s\ncopyonwrite = true\ncowdir = %s\n", s.socket, b.image, b.disks)
	if err := os.WriteFile(base+".conf", []byte(config), 0o600); err != nil {
		return nil, err
	}
	s.export = "base"
	// It serves one client only unless it goes into the background.
	if out, err := exec.Command(peerNBD, "-C", base+".conf", "-p", base+".pid").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", peerNBD, err, lastLines(out, 3))
	}
	for !listens() || s.daemon == 0 {
		if err := pause(b.ctx, time.Millisecond); err != nil {
			return nil, err
		}
		text, _ := os.ReadFile(base + ".pid")
		s.daemon, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	b.lab.servers = append(b.lab.servers, s)
	return s, nil
}

// overlaid is a client's connection, and the process that serves it, if it is its alone.
type overlaid struct {
	*client
	pid     int
	release func() error
}

func (o *overlaid) close() error { return errors.Join(o.client.close(), o.release()) }

// client connects to s, for which it does what it takes to have a fresh disk.
func (b *based) client(s *server) (*overlaid, error) {
	o := &overlaid{release: func() error { return nil }}
	socket, export := s.socket, ""
	switch s.name {
	case peerNBD:
		export = s.export
	case peerQemu:
		dir, err := os.MkdirTemp(b.disks, "qemu-")
		if err != nil {
			return nil, err
		}
		socket = filepath.Join(dir, "s")
		overlay := filepath.Join(dir, "q")
		if err := runShell(`qemu-img create -q -f qcow2 -b "$1" -F raw "$2"`, b.image, overlay); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(b.ctx, peerQemu, "-f", "qcow2", "-k", socket, overlay)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		o.pid = cmd.Process.Pid
		o.release = func() error { return errors.Join(cmd.Wait(), os.RemoveAll(dir)) }
	}
	var err error
	for range 3000 {
		if o.client, err = connectTo(socket, export); s.name != peerQemu || err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return nil, errors.Join(err, o.release())
	}
	return o, nil
}

// pids are those of the processes that serve clients of s.
func (s *server) pids(clients []*overlaid) (pids []int) {
	if s.name != peerQemu {
		pids = append(s.children(), s.pid())
	}
	for _, c := range clients {
		if c.pid != 0 {
			pids = append(pids, c.pid)
		}
	}
	return pids
}

// settled waits until nothing of a client that has left goes on.
func (b *based) settled(s *server) error {
	if s.name == peerNBD {
		for len(s.children()) > 0 {
			if err := pause(b.ctx, time.Millisecond); err != nil {
				return err
			}
		}
	}
	if s.name == peerQemu {
		return nil
	}
	return s.settle(b.ctx)
}

// rush connects n clients at once, each of which then does something.
func (b *based) rush(s *server, n int, do func(c *overlaid) error) ([]*overlaid, time.Duration, error) {
	clients, took, errs := together(n, func() (*overlaid, error) { return b.client(s) }, do)
	return clients, took, errors.Join(errs...)
}

func part(clients []*overlaid) (err error) {
	for _, c := range clients {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	return err
}

func readsOnce(c *overlaid) error { return c.do(cmdRead, 0, maxSize) }

// baseConnect is the time from the wish for a disk to its first 4 KiB in hand. C has to
// copy the image, and qemu-nbd to be started.
func (t *trial) baseConnect() error {
	return t.onImage(t.rounds(16<<10, 256), func(b *based) error {
		servers, err := b.servers(ours, peerC, peerNBD, peerQemu, peerCow, memory)
		if err != nil {
			return err
		}
		took := t.report.series(t.name, "ms", goal{ours, memory, 1.5}, goal{ours, peerC, 0.1})
		return t.interleave(t.rounds(9, 5), servers, func(s *server, count bool) error {
			if s.name == peerC && !count {
				return nil // it has nothing to warm
			}
			n := 15
			if s.name == peerC || s.name == peerQemu { // which take long
				n = 1
			}
			for range n {
				err := b.crowd(s, 1, readsOnce, func(d time.Duration) {
					if count {
						took.add(s.name, millis(d))
					}
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// crowd has n clients come at once, do something, and leave.
func (b *based) crowd(s *server, n int, do func(*overlaid) error, done func(time.Duration)) error {
	clients, d, err := b.rush(s, n, do)
	if err = errors.Join(err, part(clients)); err != nil {
		return err
	}
	done(d)
	return b.settled(s)
}

// baseStorm leaves C out: its 100 copies are 25 GiB.
func (t *trial) baseStorm() error { return t.baseCrowd(100, readsOnce) }

// baseRead has each client read all of the image.
func (t *trial) baseRead() error {
	return t.baseCrowd(20, func(c *overlaid) error { return c.readAll(256 << 20) })
}

func (t *trial) baseCrowd(n int, do func(*overlaid) error) error {
	return t.onImage(256, func(b *based) error {
		servers, err := b.servers(ours, peerNBD, peerQemu, peerCow)
		if err != nil {
			return err
		}
		took := t.report.series(t.name, "ms", goal{ours, peerNBD, 1}, goal{ours, peerQemu, 1}, goal{ours, peerCow, 1})
		return t.interleave(t.rounds(9, 2), servers, func(s *server, count bool) error {
			return b.crowd(s, n, do, func(d time.Duration) {
				if count {
					took.add(s.name, millis(d))
				}
			})
		})
	})
}

// readAll reads size bytes, 64 KiB at a time, four requests under way.
func (c *client) readAll(size uint64) error {
	const length, depth = 64 << 10, 4
	for off := uint64(0); off < size+depth*length; off += length {
		if off < size {
			if err := c.send(cmdRead, 0, off, length); err != nil {
				return err
			}
		}
		if off < depth*length {
			continue
		}
		if err := c.receive(cmdRead, 0); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c.in, length); err != nil {
			return err
		}
	}
	return nil
}

// baseWrite is a fresh disk's first writes, each to a block of its own, and then the
// same writes again.
func (t *trial) baseWrite(depth int) error {
	return t.onImage(256, func(b *based) error {
		servers, err := b.servers(ours, peerC, peerNBD, peerQemu, peerCow)
		if err != nil {
			return err
		}
		var times, cpus [2]*series
		for i, what := range []string{"first", "again"} {
			times[i] = t.report.series(t.name, "µs "+what, goal{ours, peerNBD, 1}, goal{ours, peerQemu, 1})
			cpus[i] = t.report.series(t.name, "CPU "+what, goal{ours, peerNBD, 1}, goal{ours, peerQemu, 1})
		}
		n := t.rounds(16000, 8000)
		return t.interleave(t.rounds(9, 5), servers, func(s *server, count bool) error {
			clients, _, err := b.rush(s, 1, readsOnce)
			if err != nil {
				return errors.Join(err, part(clients))
			}
			for i := range times {
				took, used, err := b.measure(s, clients, func(c *overlaid) error { return c.stream(cmdWrite, n, depth, b.size) })
				if err != nil {
					return err
				}
				if count {
					times[i].add(s.name, took/float64(n))
					cpus[i].add(s.name, used/float64(n))
				}
			}
			return errors.Join(part(clients), b.settled(s))
		})
	})
}

// measure is how long it takes a client, and the CPU time of what serves it, in µs.
func (b *based) measure(s *server, clients []*overlaid, do func(*overlaid) error) (took, used float64, err error) {
	pids := s.pids(clients)
	before, err := cpuOfAll(pids)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(clients[0]); err != nil {
		return 0, 0, err
	}
	took = micros(time.Since(began))
	after, err := cpuOfAll(pids)
	return took, micros(after - before), err
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func cpuOfAll(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		d, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// baseStay is what each of 100 clients costs that has written so many blocks of 4 KiB,
// at random places: memory of all that serves them, less that of the server without
// clients, and space on storage.
func (t *trial) baseStay(blocks int) error {
	kinds := []string{ours, peerNBD, peerQemu, peerCow}
	if blocks == 0 {
		kinds = append(kinds, plain, memory)
	}
	const n = 100
	return t.onImage(256, func(b *based) error {
		most := 64 + 1.1*4*float64(blocks)
		mem := t.report.series(t.name, "KiB PSS each", goal{ours, peerNBD, 1}, goal{ours, plain, 1.5})
		space := t.report.series(t.name, "KiB disk each", goal{ours, "", most})
		return t.anew(kinds, func(kind string) error {
			s, err := b.serve(kind)
			if errors.Is(err, exec.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			first, _, err := b.rush(s, 1, readsOnce) // what the first client costs others need not
			if err = errors.Join(err, part(first), b.settled(s)); err != nil {
				return err
			}
			idle, err := pssOf(s.pids(nil))
			if err != nil {
				return err
			}
			clients, _, err := b.rush(s, n, readsOnce)
			if err == nil {
				err = b.writeApart(clients, blocks)
			}
			pids := s.pids(clients)
			busy, pssErr := pssOf(pids)
			used := b.space(pids)
			// nbd-server leaves the files of those who are connected when it ends.
			if err = errors.Join(err, pssErr, part(clients), b.settled(s)); err != nil {
				return err
			}
			mem.add(kind, (busy-idle)*1024/n)
			space.add(kind, float64(used)/1024/n)
			return nil
		})
	})
}

// writeApart has each client write so many blocks, no two the same ones: the cow filter's
// disk is one for all.
func (b *based) writeApart(clients []*overlaid, blocks int) error {
	for i, c := range clients {
		for j := range blocks {
			at := uint64(j*len(clients)+i) * 2654435761 % (b.size / maxSize) * maxSize
			if err := c.do(cmdWrite, at, maxSize); err != nil {
				return err
			}
		}
	}
	return pause(b.ctx, 500*time.Millisecond)
}

// pssOf is the memory of all these, in MiB.
func pssOf(pids []int) (sum float64, err error) {
	for _, pid := range pids {
		f, err := footprintOf(pid)
		if err != nil {
			return 0, err
		}
		sum += f.pss
	}
	return sum, nil
}

// space is how many bytes of storage the files take that these have open for their
// clients, with a name or without one.
func (b *based) space(pids []int) (sum int64) {
	var image, st syscall.Stat_t
	_ = syscall.Stat(b.image, &image)
	seen := map[uint64]bool{image.Ino: true}
	for _, pid := range pids {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if syscall.Stat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG && st.Dev == image.Dev && !seen[st.Ino] {
				seen[st.Ino] = true
				sum += st.Blocks * 512
			}
		}
	}
	return sum
}

// baseCPU is the server's CPU time for a request to the image's part of a disk and to
// the client's own, beside a plain disk.
func (t *trial) baseCPU(cmd uint16) error {
	return t.onImage(64, func(b *based) error {
		kinds := []string{ours, own, plain}
		if cmd == cmdWrite {
			kinds = kinds[1:] // a write makes the image's part the client's own
		}
		cpu := t.report.series(t.name, "µs CPU", goal{ours, plain, 1.25}, goal{own, plain, 1.25})
		clock := t.report.series(t.name, "µs")
		// Where the kernel happens to put a server's memory makes a difference as well.
		for range t.rounds(6, 3) {
			servers, err := b.servers(kinds...)
			if err != nil {
				return err
			}
			clients := map[*server][]*overlaid{}
			for _, s := range servers {
				c, _, err := b.rush(s, 1, func(c *overlaid) error {
					if s.name == ours {
						return readsOnce(c)
					}
					return c.stream(cmdWrite, int(b.size/maxSize), 16, b.size)
				})
				clients[s] = c
				if err != nil {
					return errors.Join(err, part(c))
				}
			}
			n := t.rounds(24000, 8000)
			err = t.interleave(9, servers, func(s *server, count bool) error {
				took, used, err := b.measure(s, clients[s], func(c *overlaid) error { return c.stream(cmd, n, 16, b.size) })
				if err == nil && count {
					cpu.add(s.name, used/float64(n))
					clock.add(s.name, took/float64(n))
				}
				return err
			})
			for _, c := range clients {
				err = errors.Join(err, part(c))
			}
			if err = errors.Join(err, t.stop()); err != nil {
				return err
			}
		}
		return nil
	})
}
