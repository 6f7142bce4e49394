// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// gateMaker makes a disk when the test says so. Its key is what the test sets.
type gateMaker struct {
	*shellMaker
	key      atomic.Pointer[string]
	runs     chan *gateRun
	readOnly atomic.Bool // the next disk is; see disk.Disk
}

// gateRun is one call of Fresh.
type gateRun struct {
	ctx  context.Context
	let  chan error // it succeeds with nil
	disk *disk.Disk // that it returned
}

func newGateMaker(t *testing.T) *gateMaker {
	m := &gateMaker{shellMaker: &shellMaker{t: t, size: 4096, command: `printf made >"$disk"`}, runs: make(chan *gateRun, 9)}
	m.become("a")
	return m
}

func (m *gateMaker) become(c string) {
	key := strings.Repeat(c, 64)
	m.key.Store(&key)
}

func (m *gateMaker) Key() string { return *m.key.Load() }

func (m *gateMaker) Fresh(ctx context.Context) (*disk.Disk, error) {
	r := &gateRun{ctx: ctx, let: make(chan error)}
	m.runs <- r
	select {
	case err := <-r.let:
		if err != nil {
			return nil, err
		}
		if m.readOnly.Load() {
			r.disk, err = readOnlyDisk(m.t)
		} else {
			r.disk, err = m.shellMaker.Fresh(ctx)
		}
		return r.disk, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// readOnlyDisk is a file that even root cannot write to: a program that runs.
func readOnlyDisk(t testing.TB) (*disk.Disk, error) {
	return disk.Open("/proc/self/exe", testkit.Debug(t))
}

// caller is a call of Make that goes on.
type caller struct {
	leave  context.CancelFunc
	served chan error // after the disk was looked at and closed
}

func call(t *testing.T, m *Templates) *caller {
	ctx, cancel := context.WithCancel(context.Background())
	c := &caller{cancel, make(chan error, 1)}
	go func() {
		d, err := m.Make(ctx)
		if err == nil {
			got := make([]byte, 4)
			if err := d.PRead(got, 0); err != nil || string(got) != "made" {
				t.Errorf("got %q, %v at the beginning, want made", got, err)
			}
			closeDisk(t, d)
		}
		c.served <- err
	}()
	return c
}

func (c *caller) gone(t *testing.T) {
	t.Helper()
	c.leave()
	err := <-c.served
	testkit.Contains(t, err, "wait for the template to be built")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// waiting waits until n callers wait for builds.
func (t *Templates) waitingAre(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest != nil && t.newest.waiting == n
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 12000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain: %s", what)
}

// However many leave before it is finished, the first build goes on, and whoever
// comes later waits for it.
func TestBuildGoesOnWithoutItsClients(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	first := call(t, m)
	run := <-maker.runs
	first.gone(t)
	for range 3 {
		call(t, m).gone(t)
	}
	last := call(t, m)
	until(t, "the last one waits", func() bool { return m.waitingAre(1) })
	run.let <- nil
	if err := <-last.served; err != nil {
		t.Error(err)
	}
	makeOne(t, m, "made")
	if n := len(kept(t, m)); n != 1 {
		t.Errorf("got %d templates, want 1", n)
	}
	if n := len(maker.runs); n != 0 {
		t.Errorf("got %d more runs of the maker, want none", n)
	}
}

// Two wait for one build whose disk is not kept: one of them gets it, and only
// the other one's is made anew.
func TestBuildWithoutATemplateServesOne(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	callers := []*caller{call(t, m), call(t, m)}
	run := <-maker.runs
	until(t, "both wait", func() bool { return m.waitingAre(2) })
	maker.become("b")
	run.let <- nil
	(<-maker.runs).let <- nil
	for _, c := range callers {
		if err := <-c.served; err != nil {
			t.Error(err)
		}
	}
	if n := len(maker.runs); n != 0 {
		t.Errorf("got %d more runs of the maker, want none", n)
	}
}

// An error is for whoever began the build; the others try for themselves.
func TestBuildThatFailsWithoutItsClient(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	first := call(t, m)
	run := <-maker.runs
	second := call(t, m)
	until(t, "both wait", func() bool { return m.waitingAre(2) })
	first.gone(t)
	run.let <- errors.New("out of tape")
	(<-maker.runs).let <- nil
	if err := <-second.served; err != nil {
		t.Error(err)
	}
}

// What was found out about one key says nothing about the next.
func TestBuildOfOneKeySaysNothingOfAnother(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(m *gateMaker, run *gateRun) // ends the build of key a
	}{
		{"it fails", func(_ *gateMaker, run *gateRun) { run.let <- errors.New("out of tape") }},
		{"its disk is read-only", func(m *gateMaker, run *gateRun) {
			m.readOnly.Store(true)
			run.let <- nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			maker := newGateMaker(t)
			m := newTemplates(t, t.TempDir(), maker)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if d, err := m.Make(context.Background()); err == nil {
					closeDisk(t, d)
				}
			}()
			tt.spoil(maker, <-maker.runs)
			<-ended
			maker.readOnly.Store(false)
			maker.become("b")
			callers := []*caller{call(t, m), call(t, m)}
			run := <-maker.runs
			until(t, "both wait", func() bool { return m.waitingAre(2) })
			run.let <- nil
			for _, c := range callers {
				if err := <-c.served; err != nil {
					t.Error(err)
				}
			}
			if n := len(kept(t, m)); n != 1 {
				t.Errorf("got %d templates, want 1", n)
			}
		})
	}
}

func TestBuildThatNobodyTakesIsClosed(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	c := call(t, m)
	run := <-maker.runs
	c.gone(t)
	run.let <- nil
	m.running.Wait()
	if err := run.disk.PRead(make([]byte, 1), 0); err == nil {
		t.Error("the disk is still open")
	}
	if n := len(kept(t, m)); n != 1 {
		t.Errorf("got %d templates, want 1", n)
	}
}

// A build for what has changed since is worth nothing to anybody.
func TestBuildOutOfDateIsCancelled(t *testing.T) {
	tests := []struct {
		name  string
		leave string // when the caller of the first build leaves
	}{
		{"left before the newer one", "before"},
		{"left after it", "after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			maker := newGateMaker(t)
			m := newTemplates(t, t.TempDir(), maker)
			first := call(t, m)
			old := <-maker.runs
			if tt.leave == "before" {
				first.gone(t)
			}
			maker.become("b")
			second := call(t, m)
			newer := <-maker.runs
			if tt.leave == "after" {
				if err := old.ctx.Err(); err != nil {
					t.Errorf("got %v while somebody waits for it", err)
				}
				first.gone(t)
			}
			<-old.ctx.Done()
			if got := context.Cause(old.ctx); got != errOutdated {
				t.Errorf("got %v, want %v", got, errOutdated)
			}
			second.gone(t)
			if err := newer.ctx.Err(); err != nil {
				t.Errorf("got %v for the newest build, want it to go on", err)
			}
		})
	}
}

// Of all that everybody has left, the first one is built; those of other Templates
// of the process are cancelled until it has ended, or somebody waits for it again.
func TestOneBuildGoesOnUnattended(t *testing.T) {
	shared := &Unattended{}
	dir := t.TempDir()
	begin := func(key string) (*Templates, *gateRun) {
		maker := newGateMaker(t)
		maker.become(key)
		m := newTemplates(t, dir, maker)
		m.opts.Unattended = shared
		c := call(t, m)
		run := <-maker.runs
		c.gone(t)
		return m, run
	}
	first, run := begin("a")
	for _, key := range []string{"b", "c", "d"} {
		_, other := begin(key)
		<-other.ctx.Done()
		if got := context.Cause(other.ctx); got != errUnattended {
			t.Errorf("got %v, want %v", got, errUnattended)
		}
	}
	if err := run.ctx.Err(); err != nil {
		t.Errorf("got %v for the first one, want it to go on", err)
	}
	run.let <- nil
	first.running.Wait()
	second, run := begin("e")
	if err := run.ctx.Err(); err != nil {
		t.Errorf("got %v for one after the first has ended, want it to go on", err)
	}
	run.let <- nil
	second.running.Wait()
}

func TestStopEndsTheBuild(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	c := call(t, m)
	run := <-maker.runs
	c.gone(t)
	m.Stop(errEnd)
	if got := context.Cause(run.ctx); got != errEnd {
		t.Errorf("got %v, want %v", got, errEnd)
	}
	if left := kept(t, m); len(left) != 0 {
		t.Errorf("got %q, want no template", left)
	}
}

// A maker that panics is an error to whoever waits, and the lock is free again.
func TestBuildThatPanics(t *testing.T) {
	var said []string
	var mu sync.Mutex
	maker := &panickingMaker{shellMaker: &shellMaker{t: t, size: 4096, command: "true"}}
	m := newTemplates(t, t.TempDir(), maker)
	m.opts.Error = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, line)
	}
	_, err := m.Make(context.Background())
	testkit.Contains(t, err, "panic: oh")
	mu.Lock()
	if len(said) != 1 || !strings.Contains(said[0], "build_test.go") {
		t.Errorf("got %q in the log, want the stack", said)
	}
	mu.Unlock()
	makeOne(t, m, "\x00")
}

type panickingMaker struct {
	*shellMaker
	calm atomic.Bool
}

func (m *panickingMaker) Fresh(ctx context.Context) (*disk.Disk, error) {
	if !m.calm.Swap(true) {
		panic("oh")
	}
	return m.shellMaker.Fresh(ctx)
}

// While the lock of one template cannot be asked for, because template-dir hangs, who
// waits for another one may leave. Those who have asked share one build then.
func TestLockThatHangs(t *testing.T) {
	maker := newGateMaker(t)
	m := newTemplates(t, t.TempDir(), maker)
	first := call(t, m)
	<-maker.runs
	asked, goOn := make(chan struct{}, 9), make(chan struct{})
	m.tryLock = func(d dir, key string) (*os.File, error) {
		asked <- struct{}{}
		<-goOn
		return d.tryLock(key)
	}
	maker.become("b")
	second, third := call(t, m), call(t, m)
	<-asked
	<-asked
	first.gone(t)
	close(goOn)
	run := <-maker.runs
	until(t, "both wait", func() bool { return m.waitingAre(2) })
	run.let <- nil
	for _, c := range []*caller{second, third} {
		if err := <-c.served; err != nil {
			t.Error(err)
		}
	}
	if n := len(maker.runs); n != 0 {
		t.Errorf("got %d more runs of the maker, want none", n)
	}
}
