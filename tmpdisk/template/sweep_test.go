// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

const day = 24 * time.Hour

func TestTemplateSweep(t *testing.T) {
	key := func(c string) string { return strings.Repeat(c, 64) }
	tmp := ".tmp." + strings.Repeat("0", 20)
	tests := []struct {
		name   string
		files  map[string]time.Duration // name, last used so long ago
		locked []string                 // keys, or files of a living builder
		want   []string
	}{
		{"recent", map[string]time.Duration{key("a"): 29 * day}, nil, []string{key("a")}},
		{"old", map[string]time.Duration{key("a"): 31 * day, key("b"): 0}, nil, []string{key("b")}},
		{"old and in use", map[string]time.Duration{key("a"): 31 * day}, []string{key("a")},
			[]string{key("a"), key("a") + ".lock"}},
		{"from the future", map[string]time.Duration{key("a"): -day}, nil, []string{key("a")}},
		{"dead builder", map[string]time.Duration{key("a") + tmp: 0, key("a") + ".lock": 0}, nil, nil},
		{"dead builder of what another built", map[string]time.Duration{key("a"): 0, key("a") + tmp: 0, key("a") + ".lock": 0}, nil, []string{key("a")}},
		{"live builder", map[string]time.Duration{key("a") + tmp: 99 * day}, []string{key("a"), key("a") + tmp},
			[]string{key("a") + ".lock", key("a") + tmp}},
		{"lock of nobody", map[string]time.Duration{key("a") + ".lock": 0}, nil, nil},
		{"removed while it was open", map[string]time.Duration{".fuse_hidden0001": 2 * day, ".nfs0001": day / 2}, nil,
			[]string{".nfs0001"}},
		{"not ours", map[string]time.Duration{"README": 31 * day, key("a") + "0": 31 * day, key("A"): 31 * day, key("a") + ".bak": 31 * day, key("a") + tmp + "0": 31 * day}, nil,
			[]string{"README", key("A"), key("a") + ".bak", key("a") + tmp + "0", key("a") + "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := templates(t, 1<<20, "true")
			d, err := openDir(m.opts.Dir, true)
			testkit.Must(t, err)
			defer d.Close()
			for name, age := range tt.files {
				path := filepath.Join(privateDir(m), name)
				testkit.Must(t, os.WriteFile(path, nil, 0o600))
				used := time.Now().Add(-age)
				testkit.Must(t, os.Chtimes(path, used, used))
			}
			for _, name := range tt.locked {
				if len(name) > 64 {
					f, err := d.Lock(name, os.O_RDWR)
					testkit.Must(t, err)
					defer f.Close()
					continue
				}
				lock, err := d.tryLock(name)
				testkit.Must(t, err)
				defer d.unlock(lock)
			}
			testkit.Must(t, m.Sweep())
			got := testkit.Names(t, privateDir(m))
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q left, want %q", got, tt.want)
			}
		})
	}
}

func TestTemplateSweepOfNothing(t *testing.T) {
	m := templates(t, 1<<20, "true")
	testkit.Must(t, m.Sweep())
	if left := testkit.Names(t, m.opts.Dir); len(left) != 0 {
		t.Errorf("got %q made by the sweep, want nothing", left)
	}
}

// Files that are removed and made again all the time are one lock still.
func TestTemplateLockOfMany(t *testing.T) {
	m := templates(t, 1<<20, "true")
	d, err := openDir(m.opts.Dir, true)
	testkit.Must(t, err)
	defer d.Close()
	var holders, got atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		inGroup(&wg, func() {
			for range 500 {
				lock, err := d.tryLock("k")
				if errors.Is(err, errLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("got %d holders of one lock", n)
				}
				got.Add(1)
				runtime.Gosched()
				holders.Add(-1)
				d.unlock(lock)
			}
		})
	}
	wg.Wait()
	if got.Load() == 0 {
		t.Error("nobody ever got the lock")
	}
}

func TestTemplateLockIsOne(t *testing.T) {
	m := templates(t, 1<<20, "true")
	d, err := openDir(m.opts.Dir, true)
	testkit.Must(t, err)
	defer d.Close()
	for range 3 {
		lock, err := d.tryLock("k")
		testkit.Must(t, err)
		if _, err := d.tryLock("k"); !errors.Is(err, errLocked) {
			t.Fatalf("got %v, want %v", err, errLocked)
		}
		d.unlock(lock)
		if left := testkit.Names(t, privateDir(m)); len(left) != 0 {
			t.Errorf("got %q left, want nothing", left)
		}
	}
}
