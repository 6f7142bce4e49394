// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// logged is what an Options.Error was told.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// wants fails the test if not exactly n lines were logged, all with text.
func (l *logged) wants(t *testing.T, n int, text string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) != n {
		t.Errorf("got %d lines in the log, want %d: %q", len(l.lines), n, l.lines)
	}
	for _, line := range l.lines {
		if !strings.Contains(line, text) {
			t.Errorf("got %q in the log, want %q in it", line, text)
		}
	}
}

// pauseFor ends a pause, or begins one that the test does not see the end of.
func (t *Templates) pauseFor(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.miss.until = time.Now().Add(d)
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	testkit.Must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""))
}

// Whatever keeps a template from being kept, clients get the disk that was made.
func TestTemplateDirWithoutRoom(t *testing.T) {
	const big = `printf made >"$disk"; head -c 2000000 /dev/urandom >>"$disk"`
	tests := []struct {
		name string
		size string // of template-dir's filesystem, as in mount's size=
		then func(t *testing.T, dir string)
		want string // in the log
	}{
		{"for the template", "1m", nil, "keep template: "},
		{"for the lock", "8m,nr_inodes=2", nil, "no space left"},
		{"for the directory", "8m,nr_inodes=1", nil, "make directory: "},
		{"read-only", "8m", func(t *testing.T, dir string) { remount(t, dir, unix.MS_RDONLY) }, "read-only file system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := testkit.Tmpfs(t, tt.size)
			chmod(t, dir, 0o700)
			if tt.then != nil {
				tt.then(t, dir)
			}
			m, log := templatesIn(t, dir, 1<<20, big), &logged{}
			m.opts.Error = log.add
			for range 3 {
				makeOne(t, m, "made")
				m.pauseFor(0)
			}
			log.wants(t, 1, tt.want)
			log.wants(t, 1, "until one can be kept")
			m.running.Wait()
			if d, err := os.ReadDir(privateDir(m)); err == nil && len(d) != 0 {
				t.Errorf("got %q left, want nothing", d)
			}
		})
	}
}

// Once there is room, a template is kept, and the next shortage is logged again.
func TestTemplateDirHasRoomAgain(t *testing.T) {
	dir := testkit.Tmpfs(t, "4m")
	chmod(t, dir, 0o700)
	fill := filepath.Join(dir, "fill")
	testkit.Must(t, os.WriteFile(fill, make([]byte, 3<<20), 0o600))
	m, log := templatesIn(t, dir, 1<<20, `printf made >"$disk"; head -c 2000000 /dev/urandom >>"$disk"`), &logged{}
	m.opts.Error = log.add
	makeOne(t, m, "made")
	log.wants(t, 1, "no space left")
	testkit.Must(t, os.Remove(fill))
	// Nobody tries before the pause has ended.
	m.pauseFor(time.Hour)
	makeOne(t, m, "made")
	if left := kept(t, m); len(left) != 0 {
		t.Errorf("got %q during the pause, want no template", left)
	}
	m.pauseFor(0)
	makeOne(t, m, "made")
	m.running.Wait()
	if n := len(kept(t, m)); n != 1 {
		t.Fatalf("got %d templates, want 1", n)
	}
	log.wants(t, 1, "")
	// A template that is there is used whatever else there is no room for.
	remount(t, dir, unix.MS_RDONLY)
	makeOne(t, m, "made")
	log.wants(t, 1, "")
	remount(t, dir, 0)
	testkit.Must(t, os.Remove(filepath.Join(privateDir(m), kept(t, m)[0])))
	testkit.Must(t, os.WriteFile(fill, make([]byte, 3<<20), 0o600))
	makeOne(t, m, "made")
	log.wants(t, 2, "no space left")
}

// Even without a template, nobody gets the file that a command has linked its
// disk to.
func TestTemplateOfALinkWithoutRoom(t *testing.T) {
	dir := testkit.Tmpfs(t, "1m")
	chmod(t, dir, 0o700)
	base := filepath.Join(t.TempDir(), "base")
	want := "base" + strings.Repeat("x", 2<<20)
	testkit.Must(t, os.WriteFile(base, []byte(want), 0o600))
	m := templatesIn(t, dir, 0, `ln -sf "$base" "$disk"`)
	m.maker.(*shellMaker).base = base
	for range 2 {
		d, err := m.Make(context.Background())
		testkit.Must(t, err)
		if err := d.PWrite([]byte("mine"), 0); err != nil {
			t.Error(err)
		}
		closeDisk(t, d)
		m.pauseFor(0)
	}
	if got, err := os.ReadFile(base); err != nil || string(got) != want {
		t.Errorf("got %.8q, %v in the file, want it as it was", got, err)
	}
}

// Each build removes what nobody has used for so long.
func TestTemplateSweepAfterABuild(t *testing.T) {
	m := templates(t, 1<<20, "true")
	makeOne(t, m, "\x00")
	m.running.Wait() // or its sweep may come later
	fresh := kept(t, m)
	unused := filepath.Join(privateDir(m), strings.Repeat("f", 64))
	testkit.Must(t, os.WriteFile(unused, nil, 0o600))
	old := time.Now().Add(-31 * day)
	testkit.Must(t, os.Chtimes(unused, old, old))
	makeOne(t, m, "\x00") // a clone
	m.running.Wait()
	if n := len(kept(t, m)); n != 2 {
		t.Errorf("got %d templates after a clone, want 2", n)
	}
	testkit.Must(t, os.Remove(filepath.Join(privateDir(m), fresh[0])))
	makeOne(t, m, "\x00")
	m.running.Wait()
	if got := kept(t, m); !slices.Equal(got, fresh) {
		t.Errorf("got %q left, want %q", got, fresh)
	}
}
