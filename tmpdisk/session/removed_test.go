// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
