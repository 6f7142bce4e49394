// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// openAs is a client whose requests end when they would have to wait.
func openAs(s *Server, export string, peer func() (clients.Peer, error)) (*Connection, error) {
	client := Client{Export: export, Peer: peer, Sleep: func(time.Duration) error { return unix.ESHUTDOWN }}
	return s.Open(client, func(f func(context.Context) (*Connection, error)) (*Connection, error) {
		return f(context.Background())
	})
}

func somebody() (clients.Peer, error) { return clients.Peer{Address: "user 1"}, nil }

func startServer(t testing.TB, pairs ...string) *Server {
	t.Helper()
	privateTMPDIR(t)
	s := NewServer(testconfig.Of(t, append([]string{"size", "1M", "command", `truncate -s 1M "$disk"`}, pairs...)...), quietHost{testkit.Host{TB: t}}, "1")
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Only a client that may have so much a second is kept from the bindings' own way.
func TestLimitsAndTheDirectPath(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pairs  []string
		direct bool
	}{
		{"no limits", nil, true},
		{"disks", []string{"client-disks", "2"}, true},
		{"status", []string{"status-file", "status.json", "metrics-file", "status.prom"}, true},
		{"rate", []string{"client-rate", "4K"}, false},
		{"requests", []string{"client-iops", "1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inDir(t, t.TempDir())
			s := startServer(t, tt.pairs...)
			d, err := openAs(s, "", somebody)
			testkit.Must(t, err)
			defer s.Close(d)
			if got := d.FD() >= 0; got != tt.direct {
				t.Errorf("a descriptor for the bindings: got %v, want %v", got, tt.direct)
			}
			if _, limited := d.Requests.(*limited); limited == tt.direct {
				t.Errorf("requests are held back: got %v, want %v", limited, !tt.direct)
			}
		})
	}
}

// Each kind of request is held back when there was too much before it.
func TestHeldBack(t *testing.T) {
	s := startServer(t, "client-iops", "2")
	one, err := openAs(s, "", somebody)
	testkit.Must(t, err)
	defer s.Close(one)
	two, err := openAs(s, "", somebody)
	testkit.Must(t, err)
	defer s.Close(two)
	other, err := openAs(s, "", func() (clients.Peer, error) { return clients.Peer{Address: "user 2"}, nil })
	testkit.Must(t, err)
	defer s.Close(other)
	testkit.Must(t, errors.Join(one.PRead(make([]byte, 512), 0), two.PRead(make([]byte, 512), 0)))
	for name, r := range requestsOf(512) {
		for _, d := range []*Connection{one, two} {
			for range 3 { // two a second go through
				err = d.Do(r)
			}
			if !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("%s: got %v, want what the sleep returned", name, err)
			}
		}
	}
	if err := other.PRead(make([]byte, 512), 0); err != nil {
		t.Errorf("another client: %v", err)
	}
	n := one.Numbers()
	n.Add(two.Numbers())
	if n.Read.Requests < 2 {
		t.Errorf("counted: got %+v, want two requests at least", n)
	}
}

// What moves data, or has the server move it, waits behind what moved too much.
func TestBytesHeldBack(t *testing.T) {
	moves := map[disk.Op]bool{disk.Read: true, disk.Write: true, disk.Cache: true}
	s := startServer(t, "client-rate", "1000")
	for first, r := range requestsOf(1 << 20) {
		d, err := openAs(s, "", func() (clients.Peer, error) { return clients.Peer{Address: first}, nil })
		testkit.Must(t, err)
		testkit.Must(t, d.Do(r))
		for name, second := range requestsOf(512) {
			want := moves[r.Op] && moves[second.Op]
			if err := d.Do(second); (err != nil) != want || err != nil && !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("%s after %s: got %v, want held back %v", name, first, err, want)
			}
			if !moves[r.Op] && moves[second.Op] {
				break // it takes half of what there is
			}
		}
		s.Close(d)
	}
}

// A client of whom it is not known who it is gets no disk if that matters.
func TestUnknownPeer(t *testing.T) {
	nobody := func() (clients.Peer, error) { return clients.Peer{}, errors.New("no name") }
	for _, tt := range []struct{ name, key, value, want string }{
		{"limits", "client-disks", "2", "need to know who a client is: no name"},
		{"status", "status-file", "status.json", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inDir(t, t.TempDir())
			s := startServer(t, tt.key, tt.value)
			d, err := openAs(s, "", nobody)
			if err == nil {
				s.Close(d)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A client that is refused costs no command, and is counted.
func TestTooManyDisks(t *testing.T) {
	s := startServer(t, "client-disks", "1")
	d, err := openAs(s, "", somebody)
	testkit.Must(t, err)
	for range 3 {
		if _, err := openAs(s, "", somebody); !errors.Is(err, clients.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
	}
	s.Close(d)
	again, err := openAs(s, "", somebody)
	if err != nil {
		t.Fatalf("after the first one's end: %v", err)
	}
	defer s.Close(again)
	opens := s.metrics().Exports[0].Opens
	want := [status.Outcomes]uint64{status.Made: 2, status.RefusedLimit: 3}
	if opens != want {
		t.Errorf("opens: got %v, want %v", opens, want)
	}
}

// A client has no more disks for having another one connect to those that it has.
func TestHelpersGiveNoMoreDisks(t *testing.T) {
	s := startServer(t, "client-disks", "2", "session-grace", "1h", "session-key", "name", "session-dir", t.TempDir())
	helper := func() (clients.Peer, error) { return clients.Peer{Address: "user 2"}, nil }
	var all []*Connection
	refused := func(who func() (clients.Peer, error), name string) {
		t.Helper()
		if d, err := openAs(s, name, who); !errors.Is(err, clients.ErrTooMany) {
			t.Errorf("%s: got %v, want ErrTooMany", name, err)
			if err == nil {
				all = append(all, d)
			}
		}
	}
	connect := func(who func() (clients.Peer, error), name string) *Connection {
		t.Helper()
		d, err := openAs(s, name, who)
		testkit.Must(t, err)
		testkit.Must(t, d.PWrite([]byte("x"), 0))
		all = append(all, d)
		return d
	}
	one, _ := connect(somebody, "x/1"), connect(somebody, "x/2")
	again := connect(helper, "x/1")
	connect(helper, "x/2")
	refused(somebody, "x/3")
	refused(helper, "x/4")
	connect(somebody, "x/1") // as often as it likes
	s.Close(one)
	s.Close(again)
	refused(somebody, "x/3")
	connect(helper, "x/4")
	for _, d := range all {
		if d != one && d != again {
			s.Close(d)
		}
	}
}

// inDir lets dir be the working directory until the test has ended.
func inDir(t *testing.T, dir string) {
	t.Helper()
	old, err := os.Getwd()
	if err == nil {
		err = os.Chdir(dir)
	}
	testkit.Must(t, err)
	t.Cleanup(func() {
		if err := os.Chdir(old); err != nil {
			t.Error(err)
		}
	})
}

// An open that panics takes nothing of what a client may have.
func TestAnOpenThatPanicsLeavesNoSlotTaken(t *testing.T) {
	s := startServer(t, "client-disks", "1", "session-grace", "1h", "session-dir", t.TempDir())
	for _, name := range []string{"", "x/token"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			s.Open(Client{Export: name, Peer: somebody}, func(func(context.Context) (*Connection, error)) (*Connection, error) {
				panic("on purpose")
			})
		}()
		d, err := openAs(s, name, somebody)
		if err != nil {
			t.Fatalf("%q: after the panic: %v", name, err)
		}
		s.Close(d)
	}
	if n := s.document().Server.ClientsWaiting; n != 0 {
		t.Errorf("got %d clients that wait, want none", n)
	}
}
