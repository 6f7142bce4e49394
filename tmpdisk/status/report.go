// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
)

const (
	// tick is the time between two looks at what has changed.
	tick = time.Second

	// slow is the time between two writes of the metrics, and of a status that
	// stays the same: node_exporter is asked about as often, and to
	// nbdkit-tmpdisk-top the server of a much older status hangs.
	slow = 15 * time.Second
)

// Options say what a Reporter writes where. A nil File is not written, and its
// function not called.
type Options struct {
	Status   *File
	Metrics  *File
	Document func() Document // called about every second; nobody may change what it returned
	Gather   func() Metrics  // called every 15 seconds
	LogError func(string)    // called for the first of several failures in a row
}

// Reporter writes a server's status and metrics from a goroutine of its own, one
// after the other. The next look is taken a second after the last has ended, however
// long that took.
type Reporter struct {
	o             Options
	stop, stopped chan struct{}
	once          sync.Once
	patience      time.Duration // of Stop

	status, metrics report
	document        Document // what the status file has
}

// report is one file, and when it was written last.
type report struct {
	file  *File
	name  string // of the parameter
	at    time.Time
	fault logs.Fault
}

// Start writes both files at once, in the background, and then as time goes on.
func Start(o Options) *Reporter {
	r := newReporter(o)
	go r.run()
	return r
}

func newReporter(o Options) *Reporter {
	return &Reporter{
		o: o, stop: make(chan struct{}), stopped: make(chan struct{}), patience: 5 * time.Second,
		status:  report{file: o.Status, name: "status-file"},
		metrics: report{file: o.Metrics, name: "metrics-file"},
	}
}

// Stop removes both files, and returns when that is done: numbers of a server that
// has ended well are no longer true. It waits for a function of Options that is
// being called, or for a file, but not for ever: if that hangs, both files stay.
func (r *Reporter) Stop() {
	r.once.Do(func() {
		close(r.stop)
		select {
		case <-r.stopped:
		case <-time.After(r.patience):
		}
	})
}

// run does all I/O, which may hang.
func (r *Reporter) run() {
	defer close(r.stopped)
	files := slices.DeleteFunc([]*report{&r.status, &r.metrics}, func(p *report) bool { return p.file == nil })
	for _, p := range files {
		p.file.Sweep()
	}
	for {
		r.look(time.Now())
		select {
		case <-r.stop:
			for _, p := range files {
				r.log(p, p.file.Remove())
			}
			return
		case <-time.After(tick):
		}
	}
}

// look writes what must be written now.
func (r *Reporter) look(now time.Time) {
	if r.status.file != nil {
		r.writeStatus(now)
	}
	if r.metrics.file != nil && r.metrics.due(now) {
		r.write(&r.metrics, now, r.o.Gather().text())
	}
}

// due is whether the next look would come too late.
func (p *report) due(now time.Time) bool { return now.Sub(p.at) > slow-tick }

func (r *Reporter) writeStatus(now time.Time) {
	document := r.o.Document()
	if !r.status.fault.Lasts() && !r.status.due(now) && same(document, r.document) {
		return
	}
	r.document = document
	text, err := json.Marshal(document)
	if err != nil {
		r.log(&r.status, err)
		return
	}
	r.write(&r.status, now, append(text, '\n'))
}

// same is whether nothing has happened between two documents: time passes by itself,
// and the free space changes with what others do.
func same(a, b Document) bool {
	a.Server.Written, a.Server.TmpdirFree = b.Server.Written, b.Server.TmpdirFree
	return reflect.DeepEqual(a, b)
}

func (r *Reporter) write(p *report, now time.Time, text []byte) {
	p.at = now
	r.log(p, p.file.Write(text))
}

func (r *Reporter) log(p *report, err error) {
	if err == nil {
		p.fault.Ends()
	} else if p.fault.Begins("not written") {
		r.o.LogError(p.name + ": " + err.Error())
	}
}
