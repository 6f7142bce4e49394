// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package visit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// Whoever is served gets what was done, even if they leave then.
func TestServed(t *testing.T) {
	var h Hall
	var v Visit
	ctx, leave := context.WithCancel(context.Background())
	got, err := Do(ctx, &h, &v, func() (int, error) {
		if !v.Serve() {
			t.Error("the client has left")
		}
		leave()
		return 7, nil
	}, nil)
	if got != 7 || err != nil || h.Left() != 0 {
		t.Errorf("got %d, %v, %d that go on, want 7 and none", got, err, h.Left())
	}
	wrong := errors.New("wrong")
	if _, err := Do(context.Background(), &h, new(Visit), func() (int, error) { return 0, wrong }, nil); err != wrong {
		t.Errorf("got %v, want %v", err, wrong)
	}
}

// Whoever leaves does not wait. What goes on is counted, and finds out.
func TestLeft(t *testing.T) {
	var h Hall
	var v Visit
	ctx, leave := context.WithCancel(context.Background())
	goOn, served, said := make(chan struct{}), make(chan bool, 1), make(chan string, 1)
	leave()
	_, err := Do(ctx, &h, &v, func() (int, error) {
		<-goOn
		served <- v.Serve()
		panic("on purpose")
	}, func(p string) { said <- p })
	if !errors.Is(err, context.Canceled) || h.Left() != 1 {
		t.Errorf("got %v, %d that go on, want the client's leaving and 1", err, h.Left())
	}
	close(goOn)
	if <-served {
		t.Error("a client is served that has left")
	}
	if p := <-said; !strings.Contains(p, "on purpose") {
		t.Errorf("got the panic %q", p)
	}
	testkit.WaitFor(t, "the end", func() bool { return h.Left() == 0 })
}

// What ends soon after its client has gone is waited for.
func TestEndsSoon(t *testing.T) {
	h := Hall{Patience: time.Hour}
	ctx, leave := context.WithCancel(context.Background())
	leave()
	wrong := errors.New("wrong")
	if _, err := Do(ctx, &h, new(Visit), func() (int, error) { return 0, wrong }, nil); err != wrong || h.Left() != 0 {
		t.Errorf("got %v, %d that go on, want %v and none", err, h.Left(), wrong)
	}
}

// A panic is the waiting client's.
func TestPanic(t *testing.T) {
	var h Hall
	defer func() {
		if p := recover(); p == nil || h.Left() != 0 {
			t.Errorf("got the panic %v, %d that go on, want one and none", p, h.Left())
		}
	}()
	_, _ = Do(context.Background(), &h, new(Visit), func() (int, error) { panic("on purpose") }, nil)
}
