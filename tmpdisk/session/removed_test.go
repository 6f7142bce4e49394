// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// Whatever somebody removes or renames, and when: a client gets its own disk or is
// refused. A fresh disk it gets only if its policy says so, and then the log says it.
func TestRemovedFiles(t *testing.T) {
	removals := map[string]func(dir string) error{
		"the record": func(dir string) error { return os.Remove(dir + kit.RecordOf(keyA)) },
		"the disk":   func(dir string) error { return os.Remove(dir + kit.DiskOf(keyA)) },
		"both": func(dir string) error {
			return errors.Join(os.Remove(dir+kit.RecordOf(keyA)), os.Remove(dir+kit.DiskOf(keyA)))
		},
		"the directory":             os.RemoveAll,
		"the directory, by another": func(dir string) error { return os.Rename(dir, dir[:len(dir)-1]+"-elsewhere") },
	}
	// Each has a client write, and returns the server that the next one comes to.
	states := map[string]func(t *testing.T, o Options) *Sessions{
		"waiting": func(t *testing.T, o Options) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			return s
		},
		"connected": func(t *testing.T, o Options) *Sessions {
			s := started(t, o)
			written(t, s, keyA)
			return s
		},
		"an orphan": func(t *testing.T, o Options) *Sessions {
			s := started(t, o)
			written(t, s, keyA)
			dies(s)
			return started(t, o)
		},
		"connected elsewhere": func(t *testing.T, o Options) *Sessions {
			s := started(t, o)
			used(t, s, keyA) // else it may be only a probe
			resume(t, s, keyA)
			return started(t, o)
		},
	}
	for what, remove := range removals {
		for state, begin := range states {
			t.Run(what+" of one "+state, func(t *testing.T) {
				o, now := options(t)
				var log strings.Builder
				o.LogError = func(line string) { log.WriteString(line + "\n") }
				s := begin(t, o)
				if err := remove(kit.Path(o.Path, "") + "/"); err != nil {
					t.Fatal(err)
				}
				if state == "connected" {
					s.mu.Lock()
					first := s.live[keyA].conns[0]
					s.mu.Unlock()
					c := resume(t, s, keyA)
					wantBlock(t, c, 1, 1, 0)
					s.Close(c)
					s.Close(first)
				}
				locked := what == "the record" && state == "connected elsewhere" // the disk is
				for i := range 3 {
					if i == 2 {
						s.Stop()
						s = started(t, o)
					}
					ctx := context.Background()
					if locked {
						ctx = short(t)
					}
					_, err := s.Open(ctx, keyA, "export", minute, none)
					var lost *keep.LostError
					switch {
					case err == nil:
						t.Error("got a disk")
					case locked != errors.Is(err, context.DeadlineExceeded), !locked && !errors.As(err, &lost):
						t.Errorf("got %v, want it lost, or elsewhere: %v", err, locked)
					case !locked && (lost.Reason != keep.Damaged || lost.Detail == "" && i == 0):
						t.Errorf("got %v, want it damaged, and what was found", err)
					}
				}
				if locked {
					return
				}
				usedAs(t, s, keyA, "export", freshMinute)
				if !strings.Contains(log.String(), "session-lost=fresh") {
					t.Errorf("got the log %q, want the fresh disk in it", log.String())
				}
				wantResumed(t, s, keyA)
				now.Pass(time.Minute)
				wantLost(t, s, keep.Expired, keyA)
				now.Pass(forgetAfter + time.Minute)
				wantDisks(t, s, nil)
			})
		}
	}
}

// short is a context that ends soon.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// What somebody moves away while its client asks, and moves back, is the client's still.
func TestFilesThatComeBack(t *testing.T) {
	for what, names := range map[string][]string{"the disk": {kit.DiskOf(keyA)}, "both": {kit.DiskOf(keyA), kit.RecordOf(keyA)}} {
		for when, restart := range map[string]bool{"": false, ", and the server starts": true} {
			t.Run(what+when, func(t *testing.T) {
				o, _ := options(t)
				s := started(t, o)
				used(t, s, keyA)
				move := func(from, to string) {
					for _, name := range names {
						if err := os.Rename(from+name, to+name); err != nil {
							t.Fatal(err)
						}
					}
				}
				dir, away := kit.Path(o.Path, "")+"/", t.TempDir()+"/"
				restarted := func() {
					if restart {
						s.Stop()
						s = started(t, o)
					}
				}
				move(dir, away)
				wantLost(t, s, keep.Damaged, keyA)
				restarted()
				wantLost(t, s, keep.Damaged, keyA)
				move(away, dir)
				restarted()
				wantResumed(t, s, keyA)
				wantDisks(t, s, keys{keyA})
			})
		}
	}
}

// A disk that comes back without its record, next to the note that was left meanwhile, is
// damaged, and stays until its grace is over.
func TestDiskComesBackToANote(t *testing.T) {
	for when, restart := range map[string]bool{"to the same server": false, "to another server": true} {
		t.Run(when, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			used(t, s, keyA)
			disk, away := kit.Path(o.Path, kit.DiskOf(keyA)), filepath.Join(t.TempDir(), "away")
			if err := errors.Join(os.Rename(disk, away), os.Remove(kit.Path(o.Path, kit.RecordOf(keyA)))); err != nil {
				t.Fatal(err)
			}
			wantLost(t, s, keep.Damaged, keyA) // leaves a note
			if err := os.Rename(away, disk); err != nil {
				t.Fatal(err)
			}
			if restart {
				s.Stop()
				s = started(t, o)
			}
			wantLost(t, s, keep.Damaged, keyA)
			now.Pass(minute.Grace - 1)
			wantLost(t, s, keep.Damaged, keyA)
			wantDisks(t, s, keys{keyA})
			now.Pass(1)
			wantLost(t, s, keep.Expired, keyA)
			wantDisks(t, s, nil, keyA)
		})
	}
}

// A second name of the disk, as a backup by hard links gives it, does not make a disk
// without a record nobody's.
func TestBackupByHardLinks(t *testing.T) {
	for when, restart := range map[string]bool{"for a client": false, "at start": true} {
		t.Run(when, func(t *testing.T) {
			o, _ := options(t)
			s := started(t, o)
			used(t, s, keyA)
			disk := kit.Path(o.Path, kit.DiskOf(keyA))
			backup := filepath.Join(o.Path, "backup")
			err := errors.Join(os.Link(disk, backup), os.Remove(kit.Path(o.Path, kit.RecordOf(keyA))),
				// What another maker of that key has left is not it.
				os.WriteFile(kit.Path(o.Path, privdir.TempName(string(keyA))), nil, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			if restart {
				s.Stop()
				s = started(t, o)
			}
			wantLost(t, s, keep.Damaged, keyA)
			if !kit.Exists(o.Path, kit.DiskOf(keyA)) {
				t.Error("got the disk removed")
			}
		})
	}
}

// A private directory that was renamed is closed once nobody has a disk in it.
func TestRenamedDirectoriesAreClosed(t *testing.T) {
	o, _ := options(t)
	o.Sync = true // so that there are requests that look at the record
	s := started(t, o)
	open := func() (n int) {
		for _, fd := range testkit.Names(t, "/proc/self/fd") {
			to, err := os.Stat(filepath.Join("/proc/self/fd", fd))
			name, _ := os.Readlink(filepath.Join("/proc/self/fd", fd))
			if err == nil && to.IsDir() && strings.HasPrefix(name, o.Path) {
				n++
			}
		}
		return n
	}
	c := written(t, s, keyA)
	for i := range 5 {
		testkit.Must(t, os.Rename(kit.Path(o.Path, ""), fmt.Sprintf("%s/away%d", o.Path, i)))
		used(t, s, keep.NewKey("e", fmt.Sprint(i), ""))
		put(t, c, 1, 2+i, 0)
		testkit.Must(t, c.Flush())
	}
	if got := open(); got != 2 {
		t.Errorf("got %d directories open, want the one that is there, and the client's", got)
	}
	s.Close(c)
	if got := open(); got != 1 {
		t.Errorf("after the client: got %d directories open, want one", got)
	}
	testkit.Must(t, os.Rename(kit.Path(o.Path, ""), o.Path+"/away"))
	testkit.Must(t, os.Rename(o.Path+"/away0", kit.Path(o.Path, "")))
	c = resume(t, s, keyA)
	wantBlock(t, c, 1, 6, 0)
	s.Close(c)
}

// While a private directory is renamed again and again, nothing goes to a descriptor that
// is something else's by then.
func TestRenamedWhileInUse(t *testing.T) {
	o, _ := options(t)
	s := started(t, o)
	var all sync.WaitGroup
	var stop atomic.Bool
	for i := range 4 {
		spawn(&all, func() {
			for n := 0; !stop.Load(); n++ {
				c, err := s.Open(context.Background(), keep.NewKey("e", fmt.Sprint(i, " ", n), ""), "export", minute, blank(s))
				if err != nil {
					continue // it was renamed in the middle
				}
				put(t, c, 1, 1, 0)
				s.Space(c.Key())
				s.dir.Touch(c.Key())
				s.Close(c)
			}
		})
	}
	for i := range 50 {
		if err := os.Rename(kit.Path(o.Path, ""), fmt.Sprintf("%s/away%d", o.Path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	all.Wait()
	used(t, s, keyA) // has it look where the directory is
	eventually(t, "the end of asking", s.writeback.Idle)
	for _, fd := range testkit.Names(t, "/proc/self/fd") {
		if to, _ := os.Readlink(filepath.Join("/proc/self/fd", fd)); strings.HasPrefix(to, o.Path+"/away") {
			t.Errorf("%s is still open", to)
		}
	}
}
