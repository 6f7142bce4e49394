// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A terminal is a simulated one in which a session runs.
type terminal struct {
	tcell.SimulationScreen
	signals chan os.Signal
	drawn   chan string // the text after each change
	ended   chan error
	given   bool // back
}

// Show is the last that is done for each change.
func (d *terminal) Show() {
	d.SimulationScreen.Show()
	cells, width, _ := d.GetContents()
	var b strings.Builder
	for i, c := range cells {
		if i > 0 && i%width == 0 {
			b.WriteByte('\n')
		}
		b.WriteString(string(c.Runes))
	}
	d.drawn <- b.String()
}

func (d *terminal) Fini() {
	d.given = true
	d.SimulationScreen.Fini()
}

// start runs a session that does not look at the files again by itself.
func start(t *testing.T, width, height int, read func() []*reading) *terminal {
	t.Helper()
	d := &terminal{SimulationScreen: tcell.NewSimulationScreen("UTF-8"),
		signals: make(chan os.Signal, 1), drawn: make(chan string, 100), ended: make(chan error, 1)}
	if err := d.Init(); err != nil {
		t.Fatal(err)
	}
	d.SetSize(width, height)
	s := session{screen: d, read: func(time.Time) []*reading { return read() }}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				d.ended <- errors.New("panic")
			}
		}()
		d.ended <- s.run(d.signals, time.Hour)
	}()
	return d
}

// shows waits until the terminal shows text.
func (d *terminal) shows(t *testing.T, text string) string {
	t.Helper()
	last := "nothing"
	for {
		select {
		case last = <-d.drawn:
			if strings.Contains(last, text) {
				return last
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("got\n%s\nwant %q", last, text)
		}
	}
}

func (d *terminal) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-d.ended:
		if !d.given {
			t.Error("the terminal was not given back")
		}
		return err
	case <-time.After(2 * time.Minute):
		t.Fatal("it did not end")
	}
	return nil
}

func (d *terminal) press(key tcell.Key, c rune) { d.InjectKey(key, c, tcell.ModNone) }

func twoDisks() []*reading {
	return []*reading{fresh("lab", status.Disk{Number: 1, Peer: "address 192.0.2.1", State: "connected", Size: 1},
		status.Disk{Number: 2, Peer: "address 192.0.2.2", State: "waiting", Size: 2})}
}

func TestKeys(t *testing.T) {
	d := start(t, 80, 12, twoDisks)
	text := d.shows(t, "DISK^")
	for _, want := range []string{"lab 1.2.3", "disks 2  connected 1  waiting 1", "\n1 ", "\n2 ", "q quit"} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q", text, want)
		}
	}
	d.press(tcell.KeyRune, 'r')
	if text := d.shows(t, "DISKv"); strings.Index(text, "192.0.2.1") < strings.Index(text, "192.0.2.2") {
		t.Errorf("r did not reverse the order:\n%s", text)
	}
	d.press(tcell.KeyRight, 0)
	d.shows(t, "SERVERv")
	d.press(tcell.KeyLeft, 0)
	d.press(tcell.KeyLeft, 0)
	d.shows(t, "SESSIONv")
	d.press(tcell.KeyRune, 'q')
	if err := d.end(t); err != nil {
		t.Errorf("got %v at q", err)
	}
}

func TestScrollKeys(t *testing.T) {
	d := start(t, 60, 10, func() []*reading { return many(20) })
	d.shows(t, "1-5 of 20")
	for _, step := range []struct {
		key  tcell.Key
		want string
	}{{tcell.KeyDown, "2-6 of"}, {tcell.KeyPgDn, "7-11 of"}, {tcell.KeyEnd, "16-20 of"}, {tcell.KeyDown, "16-20 of"},
		{tcell.KeyUp, "15-19 of"}, {tcell.KeyPgUp, "10-14 of"}, {tcell.KeyHome, "1-5 of"}, {tcell.KeyUp, "1-5 of"}} {
		d.press(step.key, 0)
		d.shows(t, step.want)
	}
	d.press(tcell.KeyCtrlC, 0)
	if err := d.end(t); err != nil {
		t.Errorf("got %v at Ctrl-C", err)
	}
}

func TestResize(t *testing.T) {
	d := start(t, 120, 20, twoDisks)
	d.shows(t, "WRITE/S")
	d.SetSize(40, 10)
	if err := d.PostEvent(tcell.NewEventResize(40, 10)); err != nil {
		t.Fatal(err)
	}
	for {
		text := d.shows(t, "DISK^")
		lines := strings.Split(text, "\n")
		if len(lines) != 10 {
			continue
		}
		if strings.Contains(text, "WRITE/S") || !strings.Contains(lines[9], "q quit") {
			t.Errorf("got\n%s\nwant what fits", text)
		}
		break
	}
	d.press(tcell.KeyRune, 'q')
	_ = d.end(t)
}

func TestTerminalIsGivenBack(t *testing.T) {
	d := start(t, 80, 10, twoDisks)
	d.signals <- syscall.SIGTERM
	var ended endedBy
	if err := d.end(t); !errors.As(err, &ended) || ended != endedBy(syscall.SIGTERM) {
		t.Errorf("got %v, want SIGTERM", err)
	}
	d = start(t, 80, 10, func() []*reading { panic("test") })
	if err := d.end(t); err == nil || err.Error() != "panic" {
		t.Errorf("got %v, want a panic", err)
	}
	d = start(t, 80, 10, twoDisks)
	if err := d.PostEvent(tcell.NewEventError(errors.New("no more"))); err != nil {
		t.Fatal(err)
	}
	if err := d.end(t); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("got %v, want the terminal's error", err)
	}
}
