// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboard = "../../examples/grafana-dashboard.json"

// grafana is what of a dashboard's schema is looked at here.
type grafana struct {
	SchemaVersion int `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Panels []struct {
		ID      int
		Title   string
		Targets []struct {
			RefID      string
			Datasource struct{ UID string }
			Expr       string
		}
	}
}

func readDashboard(t *testing.T) grafana {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d grafana
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var ourNames = regexp.MustCompile(`\btmpdisk_\w+`)

func TestDashboardUsesWhatIsRendered(t *testing.T) {
	text := string(example().text())
	families, samples := map[string]bool{}, map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\w+)`).FindAllStringSubmatch(text, -1) {
		families[match[1]] = true
	}
	for _, match := range regexp.MustCompile(`(?m)^\w+`).FindAllString(text, -1) {
		samples[match] = true
	}

	d := readDashboard(t)
	queries := map[string]string{}
	for _, v := range d.Templating.List {
		queries["variable "+v.Name] = string(v.Query)
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			queries[panel.Title+" "+target.RefID] = target.Expr
		}
	}
	for where, query := range queries {
		for _, name := range ourNames.FindAllString(query, -1) {
			if !samples[name] {
				t.Errorf("%s: got %s, want a name that is rendered", where, name)
			}
			delete(families, name)
			delete(families, strings.TrimSuffix(name, "_bucket"))
		}
	}
	if left := slices.Sorted(maps.Keys(families)); len(left) != 0 {
		t.Errorf("got nothing of %q, want every metric shown", left)
	}
}

func TestDashboardFitsGrafana9(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion < 36 || d.SchemaVersion > 37 {
		t.Errorf("got schema version %d, want one of Grafana 9", d.SchemaVersion)
	}
	if list := d.Templating.List; len(list) == 0 || list[0].Name != "datasource" || list[0].Type != "datasource" {
		t.Errorf("got variables %v, want the data source first", list)
	}
	seen := map[int]bool{}
	for _, panel := range d.Panels {
		if seen[panel.ID] {
			t.Errorf("%s: got ID %d twice, want its own", panel.Title, panel.ID)
		}
		seen[panel.ID] = true
		if len(panel.Targets) == 0 {
			t.Errorf("%s: got no targets", panel.Title)
		}
		for _, target := range panel.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: got data source %q, want the variable", panel.Title, target.Datasource.UID)
			}
		}
	}
}
