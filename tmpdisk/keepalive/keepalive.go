// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keepalive

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// settings are a timeout in the kernel's terms. The zero value leaves
// sockets as they are.
type settings struct {
	idle, interval, count int // seconds until the first probe, between probes; probes
	userTimeout           int // milliseconds; rules over count
}

// settingsFor gives settings by which a client that has been silent for
// timeout is gone, whatever the connection is doing:
//
// Idle, the kernel looks at every probe whether userTimeout has passed, so it
// ends the connection at the latest one interval after that. With replies that
// are not acknowledged, or that the client takes no more of, it ends it
// userTimeout after the first retransmission, which comes a fraction of a
// second after the reply. Hence one interval less than timeout.
func settingsFor(timeout time.Duration) settings {
	if timeout == 0 {
		return settings{}
	}
	const most = 32767 // of TCP_KEEPIDLE and TCP_KEEPINTVL
	seconds := int(timeout / time.Second)
	k := settings{
		idle:     min(max(seconds/2, 1), most),
		interval: min(max(seconds/12, 1), most),
	}
	// Two probes must fit in, and an interval after each.
	k.idle = min(k.idle, seconds-3*k.interval)
	k.count = min(max((seconds-k.idle)/k.interval, 1), 127)
	k.userTimeout = int(timeout/time.Millisecond) - 1000*k.interval
	return k
}

// set applies k to a TCP socket that listens or is connected.
func (k settings) set(fd int) error {
	for _, o := range []struct {
		name               string
		level, option, val int
	}{
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, k.idle},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, k.interval},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.count},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, k.userTimeout},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, // last: starts the timer
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.val); err != nil {
			return fmt.Errorf("setsockopt: %s: %w", o.name, err)
		}
	}
	return nil
}

// Keepalive sets the server's sockets. Start comes first.
type Keepalive struct {
	settings settings
	debug    func(string)
	early    atomic.Int64 // connections that may have come before Start
	due      atomic.Bool  // a timer runs, after which all connections are set

	clock sys.Clock
	set   func(fd int) error // settings.set but in tests
}

// late is how long an early connection is without its settings at most: less than
// the least client-timeout.
const late = time.Second

// New returns a Keepalive by which a client that has been silent for timeout is
// gone; 0 leaves all sockets as they are. What fails goes to debug.
func New(timeout time.Duration, debug func(string)) *Keepalive {
	s := settingsFor(timeout)
	return &Keepalive{settings: s, debug: debug, clock: sys.ClockOr(nil), set: s.set}
}

// Start sets the sockets that nbdkit listens on, which it has by .after_fork.
func (k *Keepalive) Start() {
	if k.settings == (settings{}) {
		return
	}
	listeners, waiting := int64(0), int64(0)
	k.eachSocket(true, func(fd int) error {
		if err := k.set(fd); err != nil {
			return err
		}
		listeners++
		// Only now: what comes from here on has inherited the settings.
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		// Of a socket that listens this is the queue for accept.
		waiting = max(waiting, int64(info.Unacked))
		return nil
	})
	// nbdkit accepts one connection of each socket in turn, so by then the
	// longest queue has been emptied.
	k.early.Store(listeners * waiting)
}

// Accepted is to be called for each new connection, once it is accepted. While some
// that came early are missing, every TCP connection that this process has accepted is
// set, for nbdkit does not tell which is whose: a second later, together with those that
// come until then.
func (k *Keepalive) Accepted() {
	if k.early.Load() <= 0 || k.early.Add(-1) < 0 || k.due.Swap(true) {
		return
	}
	k.clock.AfterFunc(late, func() {
		k.due.Store(false) // before the look, which may miss whoever comes now
		k.eachSocket(false, k.set)
	})
}

// eachSocket calls f for each TCP socket that listens, or for each that is
// connected. Only those with the close-on-exec flag, which nbdkit gives its
// own, are taken: others were left open by whoever started the server.
func (k *Keepalive) eachSocket(listens bool, f func(fd int) error) {
	tolerate := func(err error) {
		k.debug(fmt.Sprintf("client-timeout: %v (ignored)", err))
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tolerate(err)
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || !isTCP(fd, listens) {
			continue
		}
		// A client may hang up at any time.
		if err := f(fd); err != nil && !errors.Is(err, unix.EBADF) {
			tolerate(fmt.Errorf("descriptor %d: %w", fd, err))
		}
	}
}

func isTCP(fd int, listens bool) bool {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		return false
	}
	is := func(option, want int) bool {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		return err == nil && got == want
	}
	accepts := 0
	if listens {
		accepts = 1
	}
	// The number alone is also that of a netlink protocol.
	return is(unix.SO_PROTOCOL, unix.IPPROTO_TCP) && is(unix.SO_ACCEPTCONN, accepts) &&
		(is(unix.SO_DOMAIN, unix.AF_INET) || is(unix.SO_DOMAIN, unix.AF_INET6))
}
