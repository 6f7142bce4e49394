// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lab is the private place in which servers run, and all of them.
type lab struct {
	dir     string // sockets, pid files, logs
	disks   string // TMPDIR of the servers
	plugin  string // the built tmpdisk.so
	nbdkit  string
	servers []*server
	count   int
}

// server is one nbdkit under measurement.
type server struct {
	export string // that clients of requests ask for
	name   string
	socket string // or address and port
	log    string
	cmd    *exec.Cmd
	daemon int // process ID of a server that has gone into the background, else 0
	ended  chan error
}

// The kinds of server, by the names in the table.
const (
	ours     = "ours"     // tmpdisk.so
	spares   = "spares"   // tmpdisk.so with spare-disks
	sessions = "sessions" // tmpdisk.so with session-grace, and clients with a token
	peerC    = "C"        // nbdkit's own tmpdisk plugin
	memory   = "memory"   // nbdkit's memory plugin: the floor
)

func newLab(plugin, nbdkit string) (*lab, error) {
	disks := os.Getenv("TMPDIR")
	if disks == "" {
		disks = "/var/tmp"
	}
	dir, err := os.MkdirTemp("", "tmpdisk-bench-")
	if err != nil {
		return nil, err
	}
	// On the filesystem that disks would be on; sockets need a short name.
	if disks, err = os.MkdirTemp(disks, "tmpdisk-bench-disks-"); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &lab{dir: dir, disks: disks, plugin: plugin, nbdkit: nbdkit}, nil
}

// start runs a server of the kind name and waits until it is ready. args are
// the plugin's; the memory plugin is given only the size. It must be called
// from the main thread: nbdkit ends when the thread that started it does.
func (l *lab) start(ctx context.Context, name, size string, args ...string) (*server, error) {
	l.count++
	base := filepath.Join(l.dir, strconv.Itoa(l.count))
	s := &server{name: name, export: "bench-token", socket: base + ".sock", log: base + ".log", ended: make(chan error, 1)}
	listen := []string{"-U", s.socket}
	switch name {
	case quiet, limited, unlimited:
		host, port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.socket = net.JoinHostPort(host, port)
		listen = []string{"-i", host, "-p", port}
	}
	argv := append([]string{"-f", "--exit-with-parent", "-P", base + ".pid"}, listen...)
	switch name {
	case memory:
		argv = append(argv, "memory", size)
	case peerC:
		argv = append(argv, "tmpdisk", "size="+size)
		argv = append(argv, args...)
	default:
		argv = append(argv, l.plugin, "size="+size)
		argv = append(argv, args...)
		if name == sessions {
			s.export = "bench/token" // as long as the others': it moves nbdkit's buffers
			argv = append(argv, "session-grace=1h")
		}
	}
	return s, l.launch(ctx, s, l.nbdkit, argv, func() bool {
		pid, err := os.ReadFile(base + ".pid")
		return err == nil && bytes.HasSuffix(pid, []byte("\n"))
	})
}

// launch runs program and waits until it is ready.
func (l *lab) launch(ctx context.Context, s *server, program string, argv []string, ready func() bool) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(program, argv...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(os.Environ(), "TMPDIR="+l.disks)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	l.servers = append(l.servers, s)
	for {
		if ready() {
			return nil
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s: %v: %s", strings.Join(s.cmd.Args, " "), err, text)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop ends every server that runs.
func (l *lab) stop() error {
	var first error
	for _, s := range l.servers {
		if err := s.stop(); err != nil && first == nil {
			first = err
		}
	}
	l.servers = nil
	return first
}

// close stops the servers and removes what they could have left.
func (l *lab) close() error {
	err := l.stop()
	left, _ := filepath.Glob(filepath.Join(l.disks, "*"))
	if len(left) > 0 && err == nil {
		err = fmt.Errorf("servers left %d files in TMPDIR, one of them %s (removed now)", len(left), left[0])
	}
	os.RemoveAll(l.dir)
	os.RemoveAll(l.disks)
	return err
}

func (s *server) stop() error {
	if s.daemon != 0 {
		return s.stopDaemon()
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ended:
		if err != nil {
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s: %w: %s", s.name, err, lastLines(text, 5))
		}
		return nil
	case <-time.After(30 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("%s: did not end on SIGTERM within 30 s", s.name)
	}
}

func (s *server) stopDaemon() error {
	for range 3000 {
		if syscall.Kill(s.daemon, syscall.SIGTERM) != nil {
			return nil // it has ended
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s: did not end on SIGTERM within 30 s", s.name), syscall.Kill(s.daemon, syscall.SIGKILL))
}

func lastLines(text []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

func (s *server) pid() int {
	if s.daemon != 0 {
		return s.daemon
	}
	return s.cmd.Process.Pid
}

// cpu is the time that the server's own threads have used, those that ended
// included, its children not. The kernel counts it in nanoseconds.
func (s *server) cpu() (time.Duration, error) {
	d, err := cpuOf(s.pid())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return d, nil
}

func cpuOf(pid int) (time.Duration, error) {
	// What clock_getcpuclockid(3) makes of a pid.
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("cpu clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// cpuOfAll is cpu with the time of the children that have ended and theirs,
// which the kernel counts in hundredths of a second.
func (s *server) cpuOfAll() (time.Duration, error) {
	own, err := s.cpu()
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid()))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may have
	// spaces. cutime and cstime are the 16th and 17th.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", s.pid(), stat)
	}
	for _, field := range fields[13:15] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		own += time.Duration(ticks) * 10 * time.Millisecond
	}
	return own, nil
}

// footprint is what the server holds.
type footprint struct{ rss, pss, threads float64 } // MiB, MiB, count

func (s *server) footprint() (footprint, error) { return footprintOf(s.pid()) }

func footprintOf(pid int) (f footprint, err error) {
	fields := map[string]*float64{"Rss:": &f.rss, "Pss:": &f.pss, "Threads:": &f.threads}
	for _, file := range []string{"smaps_rollup", "status"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return f, err
		}
		for _, line := range strings.Split(string(text), "\n") {
			words := strings.Fields(line)
			if len(words) < 2 || fields[words[0]] == nil {
				continue
			}
			n, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				return f, err
			}
			if len(words) > 2 { // kB
				n /= 1024
			}
			*fields[words[0]] = n
		}
	}
	return f, nil
}

// settle waits until the server has had no child process and used no CPU for
// a while: no disk is being made.
func (s *server) settle(ctx context.Context) error {
	quiet, last := 0, time.Duration(-1)
	for quiet < 5 {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		used, err := s.cpu()
		if err != nil {
			return err
		}
		if s.hasChild() || used-last > 200*time.Microsecond {
			quiet = 0
		} else {
			quiet++
		}
		last = used
	}
	return nil
}

func (s *server) hasChild() bool { return len(s.children()) > 0 }

// children are the processes that the server has started, by their IDs.
func (s *server) children() (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.pid()))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
