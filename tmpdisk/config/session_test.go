// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// completed is what these parameters, and a size, come to.
func completed(t *testing.T, pairs []string) (*Config, error) {
	c := New(testkit.Host{TB: t})
	err := c.Set("size", "1M")
	for i := 0; i < len(pairs) && err == nil; i += 2 {
		err = c.Set(pairs[i], pairs[i+1])
	}
	if err == nil {
		err = c.Complete()
	}
	return c, err
}

func TestSessionParameters(t *testing.T) {
	dir := t.TempDir()
	open := t.TempDir()
	testkit.Must(t, os.Chmod(open, 0o777))
	const grace = "session-grace"
	tests := []struct {
		name  string
		pairs []string
		want  []string // nil if nothing is wrong
	}{
		{"all", []string{grace, "10m", "session-key", "name", "session-conflict", "share", "session-dir", dir,
			"session-sync", "yes", "session-lost", "fresh", "session-max", "1", "session-token", "required"}, nil},
		{"in another order", []string{"session-sync", "no", "session-dir", dir, grace, "1"}, nil},
		{"no grace", []string{grace, "0"}, nil},
		{"grace of nothing", []string{grace, ""}, []string{"session-grace: ", "empty"}},
		{"odd grace", []string{grace, "soon"}, []string{"session-grace: ", "soon"}},
		{"negative grace", []string{grace, "-1s"}, []string{"session-grace: "}},
		{"no grace, and another", []string{"session-max", "5", grace, "0"},
			[]string{"session-grace: 0", "session-max is given", "session-grace=10m"}},
		{"no grace any more", []string{grace, "1m", "session-dir", dir, grace, "0"},
			[]string{"session-grace: 0", "session-dir is given"}},
		{"odd key", []string{grace, "1m", "session-key", "Peer"}, []string{"session-key: ", `"Peer"`, "peer, name"}},
		{"odd token", []string{grace, "1m", "session-token", "yes"}, []string{"session-token: ", `"yes"`, "optional, required"}},
		{"a token without a grace", []string{"session-token", "required"}, []string{"session-token: only works with session-grace="}},
		{"odd conflict", []string{grace, "1m", "session-conflict", "steal"},
			[]string{"session-conflict: ", `"steal"`, "handover, share"}},
		{"conflict refuse", []string{grace, "1m", "session-conflict", "refuse"},
			[]string{"session-conflict: refuse", "handover", "a token of its own"}},
		{"odd sync", []string{grace, "1m", "session-dir", dir, "session-sync", "1"}, []string{"session-sync: ", `"1"`, "no, yes"}},
		{"odd lost", []string{grace, "1m", "session-lost", ""}, []string{"session-lost: ", `""`, "refuse, fresh"}},
		{"max of none", []string{grace, "1m", "session-max", "0"}, []string{"session-max: "}},
		{"odd max", []string{grace, "1m", "session-max", "many"}, []string{"session-max: ", "many"}},
		{"no directory", []string{grace, "1m", "session-dir", ""}, []string{"session-dir: empty"}},
		{"directory missing", []string{grace, "1m", "session-dir", filepath.Join(dir, "no")},
			[]string{"session-dir: " + filepath.Join(dir, "no"), "create it"}},
		{"directory of all", []string{grace, "1m", "session-dir", open}, []string{"session-dir: " + open, "mode 0777"}},
		{"a slip", []string{"session_grace", "1m"}, []string{"did you mean session-grace=?"}},
	}
	for _, name := range []string{"session-key", "session-conflict", "session-dir", "session-sync", "session-lost", "session-max"} {
		value := map[string]string{"session-key": "name", "session-conflict": "share", "session-dir": dir,
			"session-sync": "yes", "session-lost": "fresh", "session-max": "5"}[name]
		tests = append(tests, struct {
			name  string
			pairs []string
			want  []string
		}{name + " alone", []string{name, value}, []string{name + ": only works with session-grace="}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := completed(t, tt.pairs)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
		})
	}
	testkit.WantEmpty(t, dir)
}

func TestSessionValues(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	previous, err := os.Getwd()
	if err == nil {
		err = os.Chdir(dir)
	}
	testkit.Must(t, err)
	t.Cleanup(func() { os.Chdir(previous) })
	tests := []struct {
		name  string
		pairs []string
		want  Session
	}{
		{"defaults", nil, Session{Max: 1000}},
		{"first choices", []string{"session-grace", "90", "session-key", "peer", "session-conflict", "handover",
			"session-lost", "refuse", "session-dir", "sub", "session-sync", "no"},
			Session{Grace: 90 * time.Second, Dir: filepath.Join(dir, "sub"), Max: 1000}},
		{"other choices", []string{"session-grace", "2d", "session-key", "name", "session-conflict", "share",
			"session-lost", "fresh", "session-dir", dir, "session-sync", "yes", "session-max", "1000000"},
			Session{Grace: 48 * time.Hour, ByName: true, Share: true, Dir: dir, Sync: true, Fresh: true, Max: 1_000_000}},
		{"the last counts", []string{"session-grace", "1s", "session-conflict", "handover", "session-conflict", "share",
			"session-grace", "2s"}, Session{Grace: 2 * time.Second, Share: true, Max: 1000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := completed(t, tt.pairs)
			testkit.Must(t, err)
			if c.Session != tt.want {
				t.Errorf("got %+v, want %+v", c.Session, tt.want)
			}
		})
	}
}
