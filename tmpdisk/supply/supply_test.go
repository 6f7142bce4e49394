// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
)

// Debian and Ubuntu keep mkfs where only root looks.
func TestMain(m *testing.M) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	os.Exit(m.Run())
}

// supplyIn is a Supply whose disks are in dir, where it leaves nothing.
func supplyIn(t *testing.T, dir string, change func(*Options), pairs ...string) *Supply {
	t.Helper()
	host := testkit.Host{TB: t}
	o := Options{
		Options: maker.Options{
			Config: testconfig.Of(t, pairs...), Dir: dir, Runner: command.NewRunner(testkit.Quiet), Counts: &maker.Counts{},
			Debug: host.Debug, Error: host.Error,
		},
		Jobs: pool.NewJobs(4), Molds: maker.NewTurns(),
		CheckSpace: func(uint64) error { return nil }, Made: func(time.Duration) {},
	}
	if change != nil {
		change(&o)
	}
	s := New(o)
	t.Cleanup(func() {
		s.Stop(errors.New("the test is over"))
		testkit.WantEmpty(t, dir)
	})
	return s
}

// Asking for what an export is costs no disk: it goes to the next client.
func TestUnusedCastIsHandedOut(t *testing.T) {
	s := supplyIn(t, t.TempDir(), nil, "size", "1M", "type", "swap")
	s.Start()
	uuid := func(d *Fresh) string {
		buf := make([]byte, 16)
		if err := d.PRead(buf, 1036); err != nil {
			t.Error(err)
		}
		return string(buf)
	}
	first, err := s.Take(context.Background(), 0)
	testkit.Must(t, err)
	fd := first.FD()
	s.Return(first)
	second, err := s.Take(context.Background(), 0)
	testkit.Must(t, err)
	if second.FD() != fd {
		t.Errorf("got another file (%d), want the one that nobody has used (%d)", second.FD(), fd)
	}
	seen := uuid(second)
	s.Return(second)
	third, err := s.Take(context.Background(), 0)
	testkit.Must(t, err)
	if uuid(third) == seen {
		t.Error("got a disk that somebody has read")
	}
	s.Return(third)
}
