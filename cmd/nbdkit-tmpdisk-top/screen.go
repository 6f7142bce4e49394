// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gdamore/tcell/v2"
)

// endedBy is the signal that ended the program.
type endedBy syscall.Signal

func (s endedBy) Error() string { return syscall.Signal(s).String() }

// interactive shows the table until the user or a signal ends it.
func interactive(o options) error {
	if !isTerminal(os.Stdout) {
		return errors.New("standard output is not a terminal: use --once")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("terminal: TERM=%s cannot show a table: %w: use --once", os.Getenv("TERM"), err)
	}
	s := session{screen: screen, view: o.view, read: func(now time.Time) []*reading { return readAll(o.paths, now) }}
	return s.run(signals, o.interval)
}

// A session is a table on a terminal.
type session struct {
	screen tcell.Screen
	read   func(now time.Time) []*reading

	view     view
	past     history
	readings []*reading
	rows     []row
}

// run gives the terminal back however it ends, by a panic too.
func (s *session) run(signals <-chan os.Signal, interval time.Duration) error {
	defer s.screen.Fini()
	events, done := make(chan tcell.Event), make(chan struct{})
	defer close(done)
	go s.screen.ChannelEvents(events, done)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	s.look()
	for {
		s.draw()
		select {
		case <-ticker.C:
			s.look()
		case sig := <-signals:
			return endedBy(sig.(syscall.Signal))
		case event := <-events:
			switch event := event.(type) {
			case *tcell.EventKey:
				if s.key(event) {
					return nil
				}
			case *tcell.EventResize:
				s.screen.Sync()
			case *tcell.EventError:
				return fmt.Errorf("terminal: %w", event)
			case nil:
				return errors.New("terminal: closed")
			}
		}
	}
}

// look reads the files again.
func (s *session) look() {
	now := time.Now()
	s.readings = s.read(now)
	s.past.add(s.readings, now)
	s.rows = rowsOf(s.readings, now)
	s.view.order(s.rows)
}

// key does what a key means, and tells whether it means the end.
func (s *session) key(event *tcell.EventKey) (quit bool) {
	_, height := s.screen.Size()
	switch event.Key() {
	case tcell.KeyCtrlC:
		return true
	case tcell.KeyLeft:
		s.view.sort = (s.view.sort + len(columns) - 1) % len(columns)
	case tcell.KeyRight:
		s.view.sort = (s.view.sort + 1) % len(columns)
	case tcell.KeyUp:
		s.view.top--
	case tcell.KeyDown:
		s.view.top++
	case tcell.KeyPgUp:
		s.view.top -= height / 2
	case tcell.KeyPgDn:
		s.view.top += height / 2
	case tcell.KeyHome:
		s.view.top = 0
	case tcell.KeyEnd:
		s.view.top = len(s.rows)
	case tcell.KeyRune:
		switch event.Rune() {
		case 'q', 'Q':
			return true
		case 'r', 'R':
			s.view.reverse = !s.view.reverse
		}
	}
	s.view.order(s.rows)
	return false
}

func (s *session) draw() {
	width, height := s.screen.Size()
	p := newPage(s.readings, s.rows, &s.view, width, height)
	s.screen.Clear()
	for y, line := range p.lines {
		style := tcell.StyleDefault
		switch y {
		case p.title:
			style = style.Reverse(true)
		case len(p.lines) - 1:
			style = style.Bold(true)
		}
		x := 0
		for _, c := range line {
			s.screen.SetContent(x, y, c, nil, style)
			x++
		}
		for ; y == p.title && x < width; x++ {
			s.screen.SetContent(x, y, ' ', nil, style)
		}
	}
	s.screen.Show()
}
