// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"cmp"
	"slices"
	"time"
)

// Metrics is what a server tells Prometheus. Whatever counts events never goes
// down while the server runs, even when a disk goes that they were counted for.
type Metrics struct {
	Server  string // its name: no other server of this machine has the same
	Version string // the plugin's
	Started time.Time
	Exports []*ExportMetrics

	TmpdirFree, TmpdirSize         uint64 // bytes
	CommandsRunning                int
	CommandsKilled, CommandsFailed uint64
	ClientsWaiting                 int // for a disk to be made
	Making                         int // disks
	RequestSeconds                 RequestTimes
}

// ExportMetrics is for one export.
type ExportMetrics struct {
	Export    string // no other of the server's has the same; empty for the disk of the command line
	Disks     int    // that clients have, or that wait for them
	Waiting   int    // of these
	Spares    int
	Opens     [Outcomes]uint64
	Make      HistogramSnapshot // a disk, from nothing
	Open      HistogramSnapshot // from a client's open to its disk
	Numbers   Numbers           // of all disks, those that are gone included
	Allocated uint64            // bytes that the disks take
	Fenced    uint64            // requests that were refused
	Failed    uint64            // disks that lack what clients had written
}

// Outcome is how a client's open ended.
type Outcome int

// The disk that a client gets, or why it gets none.
const (
	Cast               Outcome = iota // from a mold
	Clone                             // of a template
	Made                              // for this client
	Spare                             // made ahead
	Returned                          // by another client, which has not used it
	Resumed                           // its session's
	RefusedUnknown                    // there is no such export
	RefusedLimit                      // the client has as many disks as it may have
	RefusedMinFree                    // too little space is free
	RefusedDescriptors                // the server has too few
	RefusedSession                    // the session is another client's
	RefusedLost                       // the session's data is lost
	RefusedGone                       // the client hung up while it waited
	RefusedFailed                     // no disk could be made
	Outcomes                          // is how many there are
)

var outcomeNames = [Outcomes]string{
	Cast:               "cast",
	Clone:              "clone",
	Made:               "made",
	Spare:              "spare",
	Returned:           "returned",
	Resumed:            "resumed",
	RefusedUnknown:     "refused_unknown",
	RefusedLimit:       "refused_limit",
	RefusedMinFree:     "refused_min_free",
	RefusedDescriptors: "refused_descriptors",
	RefusedSession:     "refused_session",
	RefusedLost:        "refused_lost",
	RefusedGone:        "refused_gone",
	RefusedFailed:      "refused_failed",
}

// String is the outcome's label.
func (o Outcome) String() string { return outcomeNames[o] }

// text is the metrics in Prometheus's text format.
func (m Metrics) text() []byte {
	t := text{server: m.Server}
	m.ofServer(&t)
	exports := slices.SortedFunc(slices.Values(m.Exports), func(a, b *ExportMetrics) int {
		return cmp.Compare(a.Export, b.Export)
	})
	for _, f := range perExport {
		t.family(f.name, f.kind, f.help)
		for _, e := range exports {
			f.samples(&t, e)
		}
	}
	return t.buf
}

func (m Metrics) ofServer(t *text) {
	add := func(name, kind, help string, value float64, labels ...string) {
		t.family(name, kind, help)
		t.sample("", value, labels...)
	}
	add("tmpdisk_info", "gauge", "The plugin's version.", 1, "version", m.Version)
	add("tmpdisk_start_time_seconds", "gauge", "When the server started, since the epoch.",
		float64(m.Started.UnixMilli())/1000)
	add("tmpdisk_tmpdir_free_bytes", "gauge", "Space for disks that is free.", float64(m.TmpdirFree))
	add("tmpdisk_tmpdir_size_bytes", "gauge", "The size of the filesystem for disks.", float64(m.TmpdirSize))
	add("tmpdisk_clients_waiting", "gauge", "Clients that wait for a disk to be made.", float64(m.ClientsWaiting))
	add("tmpdisk_disks_making", "gauge", "Disks that are being made.", float64(m.Making))
	add("tmpdisk_commands_running", "gauge", "Commands that make disks, now.", float64(m.CommandsRunning))
	add("tmpdisk_commands_killed_total", "counter", "Commands that were killed.", float64(m.CommandsKilled))
	add("tmpdisk_commands_failed_total", "counter", "Commands that failed by themselves.", float64(m.CommandsFailed))

	t.family("tmpdisk_request_seconds", "histogram", "How long requests took in the plugin, of a sample of them.")
	t.histogram(m.RequestSeconds.Counts[:], m.RequestSeconds.Sum,
		func(i int) time.Duration { return time.Microsecond << i })
}

// perExport are the families that have a sample, or more, for each export.
var perExport = []struct {
	name, kind, help string
	samples          func(t *text, e *ExportMetrics)
}{
	{"tmpdisk_disks", "gauge", "Disks that clients have, or that wait for their clients.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Disks)) }},
	{"tmpdisk_sessions_waiting", "gauge", "Disks that wait for their clients to come back.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Waiting)) }},
	{"tmpdisk_spares", "gauge", "Disks that were made ahead.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Spares)) }},
	{"tmpdisk_allocated_bytes", "gauge", "Space that the disks take.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Allocated)) }},
	{"tmpdisk_opens_total", "counter", "Clients' opens, by where the disk came from, or why there is none.",
		func(t *text, e *ExportMetrics) {
			for o, n := range e.Opens {
				t.ofExport(e, float64(n), "outcome", Outcome(o).String())
			}
		}},
	{"tmpdisk_bytes_total", "counter", "Bytes of requests.",
		func(t *text, e *ExportMetrics) { t.byKind(e, func(c Count) int64 { return c.Bytes }) }},
	{"tmpdisk_requests_total", "counter", "Requests.",
		func(t *text, e *ExportMetrics) { t.byKind(e, func(c Count) int64 { return c.Requests }) }},
	{"tmpdisk_fenced_requests_total", "counter", "Requests refused because a newer connection has the session.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Fenced)) }},
	{"tmpdisk_failed_disks_total", "counter", "Disks of sessions whose filesystem could not write what clients had written.",
		func(t *text, e *ExportMetrics) { t.ofExport(e, float64(e.Failed)) }},
	{"tmpdisk_make_seconds", "histogram", "How long it took to make a disk.",
		func(t *text, e *ExportMetrics) { t.exportHistogram(e, e.Make) }},
	{"tmpdisk_open_seconds", "histogram", "How long clients waited for a disk.",
		func(t *text, e *ExportMetrics) { t.exportHistogram(e, e.Open) }},
}

func (t *text) ofExport(e *ExportMetrics, value float64, labels ...string) {
	t.sample("", value, append([]string{"export", e.Export}, labels...)...)
}

func (t *text) byKind(e *ExportMetrics, value func(Count) int64) {
	t.ofExport(e, float64(value(e.Numbers.Read)), "kind", "read")
	t.ofExport(e, float64(value(e.Numbers.Written)), "kind", "write")
	t.ofExport(e, float64(value(e.Numbers.Trimmed)), "kind", "trim")
	t.ofExport(e, float64(value(e.Numbers.Zeroed)), "kind", "zero")
}

func (t *text) exportHistogram(e *ExportMetrics, h HistogramSnapshot) {
	t.histogram(h.counts[:], h.sum, func(i int) time.Duration { return bounds[i] }, "export", e.Export)
}
