// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// waiting is a call of Wait, under way.
type waiting struct {
	t      *testing.T
	wanted chan struct{}
	cancel context.CancelCauseFunc
	got    chan func() // done, once there is a slot
	failed chan error
}

// startWait calls Wait and returns once it is in line or has a slot.
func startWait(t *testing.T, j *Jobs) *waiting {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	w := &waiting{t, make(chan struct{}), cancel, make(chan func(), 1), make(chan error, 1)}
	before := len(j.wants())
	go func() {
		done, err := j.Wait(ctx, w.wanted)
		if err != nil {
			w.failed <- err
			return
		}
		w.got <- done
	}()
	eventually(t, "it is in line", func() bool { return len(j.wants()) > before || len(w.got) > 0 })
	return w
}

// done is what Wait returned.
func (w *waiting) done() func() {
	w.t.Helper()
	select {
	case done := <-w.got:
		return done
	case <-time.After(30 * time.Second):
		w.t.Fatal("it never got a slot")
		return nil
	}
}

// wants waits until those in line want that.
func (w *waiting) wants(j *Jobs, want ...want) {
	w.t.Helper()
	eventually(w.t, fmt.Sprint("in line are ", want), func() bool { return slices.Equal(j.wants(), want) })
}

func TestJobsWaitTakesItsTurn(t *testing.T) {
	tests := []struct {
		name   string
		wanted bool
		order  []string
	}{
		{"nobody wants it", false, []string{"A", "B", "A", "wait", "spare"}},
		{"a client wants it", true, []string{"A", "wait", "B", "A", "spare"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jobs := newSharedJobs(t, 1)
			spare := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
			a := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
			b := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
			done, err := jobs.Wait(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			w := startWait(t, jobs)
			spare.Start()
			a.join()
			a.join()
			if tt.wanted {
				close(w.wanted)
				w.wants(jobs, forSpare, forClient, forClient)
			}
			b.join()
			done()
			var order []string
			for range tt.order {
				select {
				case m := <-spare.makes:
					order = append(order, "spare")
					m.ok(0)
				case m := <-a.makes:
					order = append(order, "A")
					m.ok(0)
				case m := <-b.makes:
					order = append(order, "B")
					m.ok(0)
				case done := <-w.got:
					order = append(order, "wait")
					done()
				case <-time.After(30 * time.Second):
					t.Fatalf("after %v: nobody gets the slot", order)
				}
			}
			if !slices.Equal(order, tt.order) {
				t.Errorf("slots: got %v, want %v", order, tt.order)
			}
		})
	}
}

func TestJobsWaitDoneOnce(t *testing.T) {
	jobs := newSharedJobs(t, 1) // which sees if there is one more
	done, err := jobs.Wait(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := startWait(t, jobs)
	done()
	second := w.done()
	third := startWait(t, jobs)
	done()
	if got := jobs.wants(); len(got) != 1 {
		t.Errorf("in line after it was given back again: got %v, want one", got)
	}
	second()
	third.done()()
}

func TestJobsWaitEnds(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	done, err := jobs.Wait(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	spare, client := startWait(t, jobs), startWait(t, jobs)
	close(client.wanted)
	client.wants(jobs, forSpare, forClient)
	for what, w := range map[string]*waiting{"as a spare": spare, "as a client": client} {
		w.cancel(errLeft)
		if err := <-w.failed; err != errLeft {
			t.Errorf("%s: got %v, want %v", what, err, errLeft)
		}
	}
	client.wants(jobs) // nobody
	done()
	gone, cancel := context.WithCancelCause(context.Background())
	cancel(errLeft)
	if _, err := jobs.Wait(gone, nil); err != errLeft {
		t.Errorf("ended before it began: got %v, want %v", err, errLeft)
	}
}

// A slot that is granted to a call whose context ends just then goes on to the
// next, or is the call's: it is not lost.
func TestJobsWaitEndsAtItsTurn(t *testing.T) {
	for range 300 {
		jobs := newSharedJobs(t, 1)
		done, err := jobs.Wait(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		leaver, next := startWait(t, jobs), startWait(t, jobs)
		go leaver.cancel(errLeft)
		done()
		select {
		case done := <-leaver.got:
			done()
		case <-leaver.failed:
		}
		next.done()()
	}
}
