// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keepalive

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

func TestKeepaliveOf(t *testing.T) {
	if k := settingsFor(0); k != (settings{}) {
		t.Errorf("0: got %+v, want nothing", k)
	}
	if got, want := settingsFor(2*time.Minute), (settings{60, 10, 6, 110_000}); got != want {
		t.Errorf("2m: got %+v, want %+v", got, want)
	}
	// What the kernel takes, and that it is enough and in time.
	for d := 4 * time.Second; d <= 7*24*time.Hour; d += d/7 + 333*time.Millisecond {
		k := settingsFor(d)
		for _, f := range []struct{ n, most int }{{k.idle, 32767}, {k.interval, 32767}, {k.count, 127}} {
			if f.n < 1 || f.n > f.most {
				t.Errorf("%v: got %+v, want 1 to %d", d, k, f.most)
			}
		}
		user := time.Duration(k.userTimeout) * time.Millisecond
		idle, interval := time.Duration(k.idle)*time.Second, time.Duration(k.interval)*time.Second
		if idle+2*interval > user {
			t.Errorf("%v: got %+v, want two probes and their intervals within userTimeout", d, k)
		}
		if user+interval > d {
			t.Errorf("%v: got %+v, want an end within the timeout", d, k)
		}
	}
}

func TestConnectionsInherit(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l := listenOn(t, "tcp", address)
			k := New(time.Hour, testkit.Debug(t))
			k.Start()
			fd := acceptOne(t, l)
			k.Accepted()
			wantKeepalive(t, fd, k.settings)
		})
	}
}

// Connections that came before the settings are set once they are accepted.
func TestEarlyConnections(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	for range 3 {
		dial(t, l)
	}
	clock := testkit.NewClock()
	k := New(time.Hour, testkit.Debug(t))
	k.clock = clock
	k.Start()
	if early := k.early.Load(); early < 3 {
		t.Fatalf("got %d early connections, want 3 at the least", early)
	}
	for range 3 {
		fd := accepted(t, l)
		k.Accepted()
		clock.Pass(late)
		wantKeepalive(t, fd, k.settings)
	}
	if left := clock.Timers(); len(left) != 0 {
		t.Errorf("got timers %v, want none once all are set", left)
	}
}

// However many there are, to set one of them costs the same.
func TestEarlyConnectionsCostNoMoreTogether(t *testing.T) {
	const n = 4000
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur < n+200 {
		t.Skip("needs as many descriptors")
	}
	one := acceptOne(t, listenOn(t, "tcp", "127.0.0.1:0"))
	clock := testkit.NewClock()
	k := New(time.Hour, testkit.Debug(t))
	k.clock = clock
	k.early.Store(n)
	sets, set := 0, map[int]bool{}
	k.set = func(fd int) error {
		sets++
		set[fd] = true
		return nil
	}
	var all []int
	for range n {
		// To the server, one more descriptor is one more connection.
		fd, err := unix.FcntlInt(uintptr(one), unix.F_DUPFD_CLOEXEC, 0)
		testkit.Must(t, err)
		defer unix.Close(fd)
		all = append(all, fd)
		k.Accepted()
	}
	clock.Pass(late)
	for _, fd := range all {
		if !set[fd] {
			t.Fatalf("descriptor %d has not been set", fd)
		}
	}
	if sets > 4*n {
		t.Errorf("got %d settings for %d connections, want 4 each at most", sets, n)
	}
}

func TestOtherSocketsLeftAlone(t *testing.T) {
	inherited := listenOn(t, "tcp", "127.0.0.1:0")
	fd := descriptor(t, inherited)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	local := listenOn(t, "unix", t.TempDir()+"/s")
	never := New(0, testkit.Debug(t))
	k := New(time.Hour, testkit.Debug(t))
	k.Start()
	for name, fd := range map[string]int{"without close-on-exec": fd, "unix": descriptor(t, local)} {
		if got := option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 {
			t.Errorf("%s: got SO_KEEPALIVE %d, want 0", name, got)
		}
	}

	l := listenOn(t, "tcp", "127.0.0.1:0")
	never.Start()
	never.Accepted()
	if got := option(t, descriptor(t, l), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 0 {
		t.Errorf("client-timeout=0: got TCP_USER_TIMEOUT %d, want 0", got)
	}
}

// listenOn makes a socket like nbdkit's, without what Go sets on its own.
func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		if address == "[::1]:0" {
			t.Skip("needs IPv6")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
}

func acceptOne(t *testing.T, l net.Listener) int {
	t.Helper()
	dial(t, l)
	return accepted(t, l)
}

// accepted is the descriptor of the next connection, with options as accept
// gave them.
func accepted(t *testing.T, l net.Listener) int {
	t.Helper()
	fd, _, err := unix.Accept4(descriptor(t, l), unix.SOCK_CLOEXEC)
	for err == unix.EAGAIN { // Go's sockets do not block
		time.Sleep(time.Millisecond)
		fd, _, err = unix.Accept4(descriptor(t, l), unix.SOCK_CLOEXEC)
	}
	if err != nil {
		t.Fatal(os.NewSyscallError("accept4", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func descriptor(t *testing.T, c any) int {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	testkit.Must(t, err)
	got := -1
	testkit.Must(t, raw.Control(func(fd uintptr) { got = int(fd) }))
	return got
}

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	n, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockopt", err))
	}
	return n
}

func wantKeepalive(t *testing.T, fd int, want settings) {
	t.Helper()
	got := settings{
		idle:        option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		interval:    option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
		count:       option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		userTimeout: option(t, fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 1 {
		t.Error("got no SO_KEEPALIVE")
	}
}
