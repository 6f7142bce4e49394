// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How a dead client is noticed.
//
// A TCP connection to a machine that has lost power looks like one that is
// idle. If told to, the kernel asks the other side for a sign of life and ends
// the connection when none comes. The server's next read or write, or the one
// that it is blocked in, then fails, and the client's disk is closed as after
// any hang-up.
//
// On Linux an accepted socket takes these settings over from the socket that
// listens. So they are set once, on the sockets that nbdkit listens on. A
// connection that was waiting to be accepted by then was made before, and has
// not taken them over: with socket activation, the connection that started the
// server is one. Such connections are counted, and set when nbdkit accepts them.

// keepaliveSettings is a timeout in the kernel's terms. The zero value leaves
// sockets as they are.
type keepaliveSettings struct {
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
func settingsFor(timeout time.Duration) keepaliveSettings {
	if timeout == 0 {
		return keepaliveSettings{}
	}
	const most = 32767 // of TCP_KEEPIDLE and TCP_KEEPINTVL
	seconds := int(timeout / time.Second)
	k := keepaliveSettings{
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
func (k keepaliveSettings) set(fd int) error {
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

// keepalive applies client-timeout. It is ready for use once begin returned.
type keepalive struct {
	debug    func(string)
	settings keepaliveSettings
	early    atomic.Int64 // connections that may have come before begin
}

// begin sets the sockets that nbdkit listens on, which it has by .after_fork.
func (w *keepalive) begin() {
	if w.settings == (keepaliveSettings{}) {
		return
	}
	listeners, waiting := int64(0), int64(0)
	w.eachSocket(true, func(fd int) error {
		if err := w.settings.set(fd); err != nil {
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
	w.early.Store(listeners * waiting)
}

// connected is to be called for each new connection, once it is accepted.
// While some that came early are missing, it sets every TCP connection that
// this process has accepted, for nbdkit does not tell which is whose.
func (w *keepalive) connected() {
	if w.early.Load() <= 0 || w.early.Add(-1) < 0 {
		return
	}
	w.eachSocket(false, w.settings.set)
}

// eachSocket calls f for each TCP socket that listens, or for each that is
// connected. Only those with the close-on-exec flag, which nbdkit gives its
// own, are taken: others were left open by whoever started the server.
func (w *keepalive) eachSocket(listens bool, f func(fd int) error) {
	tolerate := func(err error) {
		w.debug(fmt.Sprintf("client-timeout: %v (ignored)", err))
	}
	fds, err := descriptors()
	if err != nil {
		tolerate(err)
	}
	for _, fd := range fds {
		if !isTCP(fd, listens) {
			continue
		}
		// A client may hang up at any time.
		if err := f(fd); err != nil && !errors.Is(err, unix.EBADF) {
			tolerate(fmt.Errorf("descriptor %d: %w", fd, err))
		}
	}
}

// descriptors are the numbers that this process has open.
func descriptors() (fds []int, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds, err
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
