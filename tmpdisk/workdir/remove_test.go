// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// A server that has run out of descriptors still removes what it has made.
func TestWorkdirRemoveWithoutDescriptors(t *testing.T) {
	cases := []struct {
		name string
		fill func(w *Dir) error
	}{
		{"empty", func(w *Dir) error { return nil }},
		{"the disk", func(w *Dir) error { return os.WriteFile(w.Disk(), nil, 0o600) }},
		{"a command's directory", func(w *Dir) error { return w.Enter() }},
		{"a command's disk", func(w *Dir) error {
			return errors.Join(w.Enter(), os.WriteFile(w.Disk(), nil, 0o600))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			w := makeWorkdir(t, parent)
			testkit.Must(t, c.fill(w))
			var err error
			withoutDescriptors(t, func() { err = w.Remove() })
			if err != nil {
				t.Errorf("got %v", err)
			}
			testkit.WantEmpty(t, parent)
		})
	}
}

// withoutDescriptors runs f while this process can open nothing.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var limit unix.Rlimit
	testkit.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	f()
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

// What a command puts in place of its directory is not followed.
func TestWorkdirInnerReplacedByALink(t *testing.T) {
	parent, outside := t.TempDir(), t.TempDir()
	w := makeWorkdir(t, parent)
	if err := errors.Join(w.Enter(), os.WriteFile(outside+"/disk", nil, 0o600),
		os.Remove(w.Path()), os.Symlink(outside, w.Path())); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(); err != nil {
		t.Errorf("got %v", err)
	}
	testkit.WantEmpty(t, parent)
	if _, err := os.Stat(outside + "/disk"); err != nil {
		t.Errorf("got %v, want what the link points at unharmed", err)
	}
}
