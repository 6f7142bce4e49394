// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"slices"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// debuggingHost keeps what nbdkit -v would show.
type debuggingHost struct {
	testkit.Host
	lines *[]string
}

func (h debuggingHost) Debug(msg string) { *h.lines = append(*h.lines, msg) }

func TestFilesystemsAreTried(t *testing.T) {
	cases := []struct {
		name       string
		tmpdir     func(t testing.TB) string
		sessionDir bool
		wantFor    []string
		wantLines  []string // the beginnings of two, without the directory
	}{
		{"TMPDIR", func(t testing.TB) string { return testkit.Tmpfs(t, "4M") }, false, []string{"TMPDIR"},
			[]string{" (tmpfs): punching holes: yes", " (tmpfs): zeroing without writing: no: operation not supported"}},
		{"a session-dir", func(t testing.TB) string { return testkit.Tmpfs(t, "4M") }, true, []string{"TMPDIR", "session-dir"},
			[]string{" (tmpfs): punching holes: yes", " (tmpfs): locks: yes"}},
		{"FUSE", testkit.FUSE, false, []string{"TMPDIR"},
			[]string{" (FUSE): unnamed files: no: operation not supported", " (FUSE): finding holes: no: all is data"}},
		{"no TMPDIR", func(t testing.TB) string { return t.TempDir() + "/missing" }, false, []string{},
			nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, pairs := c.tmpdir(t), []string{"size", "1M", "command", ":"}
			t.Setenv("TMPDIR", dir)
			if c.sessionDir {
				pairs = append(pairs, "session-grace", "1h", "session-dir", t.TempDir())
			}
			cfg := testconfig.Of(t, pairs...)
			var lines []string
			s := NewServer(cfg, debuggingHost{testkit.Host{TB: t}, &lines}, "1")
			s.Start()
			defer s.Stop()
			list := s.document().Server.Filesystems
			got := []string{}
			for _, f := range list {
				got = append(got, f.For)
				if len(f.Abilities) != 6 {
					t.Errorf("%s: got %+v, want six abilities", f.For, f.Abilities)
				}
				for _, a := range f.Abilities {
					if a.Can != (a.Why == "") {
						t.Errorf("got %+v, want a reason or that it can", a)
					}
				}
			}
			if !slices.Equal(got, c.wantFor) || list == nil {
				t.Errorf("got filesystems for %q, want %q", got, c.wantFor)
			}
			for _, line := range c.wantLines {
				if want := "TMPDIR: " + dir + line; !slices.Contains(lines, want) {
					t.Errorf("got %q, want %q among them", lines, want)
				}
			}
			if c.sessionDir {
				// Of whatever type that is.
				if want := "session-dir: " + cfg.Session.Dir + " (" + list[1].Type + "): locks: yes"; !slices.Contains(lines, want) {
					t.Errorf("got %q, want %q among them", lines, want)
				}
			}
			if !strings.Contains(dir, "missing") {
				testkit.WantEmpty(t, dir)
			}
		})
	}
}
