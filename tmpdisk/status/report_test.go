// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// A fake server has a document and metrics, and counts how often it is asked.
type fake struct {
	dir      string
	document Document
	asked    int // for the document
	gathered int
	errors   []string
}

func newFake(t *testing.T) *fake {
	return &fake{dir: t.TempDir(), document: Document{
		Format: Format,
		Server: Server{Name: "lab", Parameters: map[string]string{"size": "1"}},
		Disks:  []Disk{{Number: 1, Last: &time.Time{}}},
	}}
}

func (f *fake) options() Options {
	return Options{
		Status:  NewFile(f.dir+"/x.json", 0o600),
		Metrics: NewFile(f.dir+"/x.prom", 0o644),
		Document: func() Document {
			f.asked++
			d := f.document
			d.Server.Written = time.Unix(int64(f.asked), 0).UTC()
			d.Server.TmpdirFree = int64(1000 - f.asked)
			d.Disks = slices.Clone(d.Disks)
			last := *d.Disks[0].Last
			d.Disks[0].Last = &last
			return d
		},
		Gather: func() Metrics {
			f.gathered++
			return Metrics{Server: "lab", Making: f.gathered}
		},
		LogError: func(text string) { f.errors = append(f.errors, text) },
	}
}

// written is which document the file has, counted from 1.
func (f *fake) written(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(f.dir + "/x.json")
	if err != nil {
		t.Fatal(err)
	}
	var d Document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Server.TmpdirFree, 1000-d.Server.Written.Unix(); got != want {
		t.Errorf("got %d bytes free, want %d", got, want)
	}
	return int(d.Server.Written.Unix())
}

func TestStatusIsWrittenWhenSomethingHasChanged(t *testing.T) {
	f := newFake(t)
	r := newReporter(f.options())
	start := time.Unix(1000, 0)
	steps := []struct {
		name   string
		after  time.Duration // since the start
		change func()
		want   bool // the file is replaced
	}{
		{"first", 0, func() {}, true},
		{"nothing", 1 * time.Second, func() {}, false},
		{"a request", 2 * time.Second, func() { f.document.Disks[0].Read.Requests++ }, true},
		{"nothing again", 3 * time.Second, func() {}, false},
		{"a last request", 4 * time.Second, func() { last := time.Unix(1, 0); f.document.Disks[0].Last = &last }, true},
		{"a client", 5 * time.Second, func() { f.document.Disks = append(f.document.Disks, Disk{Number: 2}) }, true},
		{"a mapped value", 6 * time.Second, func() { f.document.Server.Parameters = map[string]string{"size": "2"} }, true},
		{"not yet old", 20 * time.Second, func() {}, false},
		{"soon old", 20*time.Second + 1, func() {}, true},
		{"new again", 22 * time.Second, func() {}, false},
	}
	want := 0
	for i, step := range steps {
		step.change()
		r.look(start.Add(step.after))
		if step.want {
			want = i + 1
		}
		if got := f.written(t); got != want {
			t.Errorf("%s: got document %d, want %d", step.name, got, want)
		}
	}
	if len(f.errors) != 0 {
		t.Errorf("got %q, want no errors", f.errors)
	}
}

func TestMetricsAreWrittenEvery15Seconds(t *testing.T) {
	f := newFake(t)
	r := newReporter(f.options())
	start := time.Unix(1000, 0)
	for second := range 32 {
		r.look(start.Add(time.Duration(second) * time.Second))
		if want := 1 + second/15; f.gathered != want {
			t.Errorf("second %d: got %d, want %d", second, f.gathered, want)
		}
		wantText(t, f.dir+"/x.prom", string(Metrics{Server: "lab", Making: f.gathered}.text()))
	}
}

func TestErrorsAreLoggedOnce(t *testing.T) {
	f := newFake(t)
	r := newReporter(f.options())
	now := time.Unix(1000, 0)
	look := func(times int) {
		for range times {
			now = now.Add(time.Second)
			r.look(now)
		}
	}
	statusGone := "status-file: write: " + f.dir + "/x.json: no such file or directory"
	metricsGone := "metrics-file: write: " + f.dir + "/x.prom: no such file or directory"

	os.RemoveAll(f.dir)
	look(40)
	if want := []string{statusGone, metricsGone}; !slices.Equal(f.errors, want) {
		t.Errorf("got %q, want %q", f.errors, want)
	}
	os.Mkdir(f.dir, 0o700)
	look(1)
	if got := f.written(t); got != 41 {
		t.Errorf("got document %d, want 41: the first that could be written", got)
	}
	look(15)
	wantNames(t, f.dir, "x.json", "x.prom")
	os.RemoveAll(f.dir)
	look(40)
	if want := []string{statusGone, metricsGone, metricsGone, statusGone}; !slices.Equal(f.errors, want) {
		t.Errorf("got %q, want %q", f.errors, want)
	}
}

func TestOnlyOneFile(t *testing.T) {
	f := newFake(t)
	o := f.options()
	o.Status = nil
	r := newReporter(o)
	r.look(time.Unix(1000, 0))
	wantNames(t, f.dir, "x.prom")

	f = newFake(t)
	o = f.options()
	o.Metrics = nil
	r = newReporter(o)
	r.look(time.Unix(1000, 0))
	wantNames(t, f.dir, "x.json")
}

func TestStartAndStop(t *testing.T) {
	f := newFake(t)
	o := f.options()
	gathered, gather := make(chan struct{}, 100), o.Gather
	o.Gather = func() Metrics {
		gathered <- struct{}{}
		return gather()
	}
	r := Start(o)
	<-gathered // after the status has been written
	f.written(t)
	r.Stop()
	wantNames(t, f.dir)
	r.Stop()
	if len(f.errors) != 0 {
		t.Errorf("got %q, want no errors", f.errors)
	}
}

// Nothing is written any more once Stop has returned.
func TestStopWaits(t *testing.T) {
	f := newFake(t)
	o := f.options()
	asked, answer, document := make(chan struct{}), make(chan struct{}), o.Document
	o.Document = func() Document {
		asked <- struct{}{}
		<-answer
		return document()
	}
	r := Start(o)
	<-asked
	stopped := make(chan struct{})
	go func() {
		r.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("got stopped, want the document waited for")
	case <-asked:
		t.Error("got asked again, want one at a time")
	case <-r.stop:
	}
	close(answer)
	<-stopped
	wantNames(t, f.dir)
}

// A filesystem that hangs does not keep the server from ending.
func TestStopDoesNotWaitForEver(t *testing.T) {
	f := newFake(t)
	o := f.options()
	asked, answer := make(chan struct{}), make(chan struct{})
	o.Document = func() Document {
		close(asked)
		<-answer
		return f.document
	}
	r := newReporter(o)
	r.patience = time.Millisecond
	go r.run()
	<-asked
	r.Stop()
	close(answer)
	<-r.stopped
}

// The files are removed at the end, unless their directory hangs.
func TestStopDoesNotWaitForTheDirectory(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	f := newFake(t)
	o := f.options()
	o.Status, o.Metrics = nil, NewFile(dir+"/x.prom", 0o644)
	r := newReporter(o)
	r.patience = time.Millisecond
	go r.run()
	testkit.WaitFor(t, "the file", func() bool { _, err := os.Lstat(dir + "/x.prom"); return err == nil })
	stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("still waits after a minute")
	}
	goOn()
	<-r.stopped
	wantNames(t, dir)
}
