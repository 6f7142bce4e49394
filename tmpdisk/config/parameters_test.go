// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// What went says what to use instead, on the command line and in a file.
func TestGoneParametersAreRefused(t *testing.T) {
	if len(gone) == 0 {
		t.Fatal("none")
	}
	for name, instead := range gone {
		want := "parameter " + name + ": there is no such parameter any more: " + instead
		if findParameter(name) != nil {
			t.Errorf("%s: is a parameter as well", name)
		}
		if err := setAll(t, []string{"size", "1M", name, "1"}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		_, err := commandLine(t, "size", "1M").Export([]export.Setting{{Key: name, Value: "1", Line: 3}})
		if err == nil || !strings.Contains(err.Error(), "line 3") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want line 3 and %s", err, want)
		}
	}
}

func TestWatch(t *testing.T) {
	c := New(testkit.Host{TB: t})
	dir := t.TempDir()
	for key, value := range map[string]string{
		"size": "1M", "client-disks": "3", "client-rate": "10M", "client-iops": "500",
		"status-file": dir + "/a.json", "metrics-file": dir + "/a.prom",
	} {
		testkit.Must(t, c.Set(key, value))
	}
	testkit.Must(t, c.Complete())
	if want := (clients.Limits{Disks: 3, Rate: 10 << 20, IOPS: 500}); c.Limits != want {
		t.Errorf("got %+v, want %+v", c.Limits, want)
	}
	if c.StatusFile != dir+"/a.json" || c.MetricsFile != dir+"/a.prom" {
		t.Errorf("got files %s and %s", c.StatusFile, c.MetricsFile)
	}
	if got := c.Given()["client-rate"]; got != "10M" {
		t.Errorf("Given: got client-rate %q, want 10M", got)
	}
}

func TestWatchRefuses(t *testing.T) {
	cases := []struct {
		name, key, value string
		wants            []string
	}{
		{"no disks", "client-disks", "0", []string{"parameter client-disks: ", "from 1 to 1000000"}},
		{"no number", "client-disks", "many", []string{"parameter client-disks: "}},
		{"no bytes", "client-rate", "0", []string{"parameter client-rate: ", "could do nothing", "client-rate=50M"}},
		{"negative", "client-rate", "-1M", []string{"parameter client-rate: ", "client-rate=50M"}},
		{"no rate", "client-rate", "fast", []string{"parameter client-rate: ", "client-rate=50M"}},
		{"no requests", "client-iops", "0", []string{"parameter client-iops: "}},
		{"no file", "status-file", "", []string{"parameter status-file: empty"}},
		{"a directory", "status-file", "/", []string{"parameter status-file: ", "/"}},
		{"no directory", "status-file", "/nonexistent/x.json", []string{"parameter status-file: /nonexistent: ", "create it"}},
		{"a device", "status-file", "/dev/null", []string{"parameter status-file: /dev/null: not a regular file"}},
		{"no metrics", "metrics-file", "", []string{"parameter metrics-file: empty"}},
		{"another name", "metrics-file", "/tmp/x.txt", []string{"parameter metrics-file: ", ".prom"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			testkit.Contains(t, setAll(t, []string{"size", "1M", c.key, c.value}), c.wants...)
		})
	}
}

func TestOneFileForBoth(t *testing.T) {
	file := t.TempDir() + "/a.prom"
	err := setAll(t, []string{"size", "1M", "status-file", file, "metrics-file", file})
	testkit.Contains(t, err, "parameter metrics-file: the same file as status-file")
}
