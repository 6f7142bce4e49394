// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

// golden has all names and labels, which administrators' dashboards and alerts rely
// on: if lines of it must be changed, those are broken.
const golden = "testdata/metrics.prom"

var update = flag.Bool("update", false, "write "+golden)

// example has a value for everything, and an export whose name is an attack.
func example() Metrics {
	var opens, making Histogram
	opens.Observe(20 * time.Microsecond)
	opens.Observe(90 * time.Microsecond)
	opens.Observe(time.Hour)
	making.Observe(1500 * time.Millisecond)
	m := Metrics{
		Server: "lab", Version: "1.2.3", Started: time.UnixMilli(1767322245250),
		TmpdirFree: 5000000000, TmpdirSize: 9007199254740991,
		CommandsRunning: 1, CommandsKilled: 2, CommandsFailed: 3, ClientsWaiting: 4, Making: 5,
		Exports: []*ExportMetrics{
			{Export: "x\" y=\"\\\n# \xff"},
			{
				Disks: 6, Waiting: 7, Spares: 8, Make: making.Snapshot(), Open: opens.Snapshot(),
				Numbers:   Numbers{Count{9, 10}, Count{11, 12}, Count{13, 14}, Count{15, 16}},
				Allocated: 17, Fenced: 18, Failed: 19,
			},
		},
	}
	for o := range m.Exports[1].Opens {
		m.Exports[1].Opens[o] = uint64(100 + o)
	}
	for i := range m.RequestSeconds.Counts {
		m.RequestSeconds.Counts[i] = uint64(i)
	}
	m.RequestSeconds.Sum = 1234567 * time.Nanosecond
	return m
}

func TestMetrics(t *testing.T) {
	got := string(example().text())
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("line %d: got %s, want %s", i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("got %d lines, want %d", len(gotLines), len(wantLines))
	}
}

func TestOrderOfExportsIsStable(t *testing.T) {
	m := example()
	want := string(m.text())
	m.Exports[0], m.Exports[1] = m.Exports[1], m.Exports[0]
	if got := string(m.text()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEveryOutcomeHasALabel(t *testing.T) {
	seen := map[string]bool{}
	for o := range Outcomes {
		if o.String() == "" || seen[o.String()] {
			t.Errorf("outcome %d: got %q, want another label", o, o)
		}
		seen[o.String()] = true
	}
}
