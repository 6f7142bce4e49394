// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestAcquireWaits(t *testing.T) {
	testkit.NeedRoot(t)
	pool := newPool(&User{UID: testUID, GID: testUID})
	first, err := pool.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("out of patience"))
	const want = "command-user: wait for one that no command runs as: out of patience: context canceled"
	if _, err := pool.Acquire(ctx); !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		first.Release()
	}()
	second, err := pool.Acquire(context.Background())
	if err != nil || second != first {
		t.Errorf("got %v, %v, want the user that was released", second, err)
	}
	second.Release()
}

func TestEnvironIsCleanAndSmall(t *testing.T) {
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value) // restores it
		os.Unsetenv(name)
	}
	for name, value := range map[string]string{
		"PATH": "/p", "LANG": "C", "LC_TIME": "fr", "TZ": "UTC", "HOME": "/root", "USER": "root", "LOGNAME": "root",
		"SHELL": "/bin/zsh", "TMPDIR": "/t", "XDG_RUNTIME_DIR": "/run/user/0", "TOKEN": "secret", "LC": "x", "PATHX": "x",
	} {
		t.Setenv(name, value)
	}
	const both = "LANG=C LC_TIME=fr PATH=/p SHELL=/bin/sh TMPDIR=/dir TZ=UTC"
	for _, test := range []struct {
		name string
		u    User
		want string
	}{
		{"of a range", User{UID: 7}, "HOME=/dir " + both},
		{"in the database", User{UID: 7, name: "ann", home: "/home/ann"}, "HOME=/home/ann " + both + " LOGNAME=ann USER=ann"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, want := test.u.Environ("/dir"), strings.Fields(test.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
