// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// image is a base in dir, and what is in it.
func image(t *testing.T, dir string) (path string, content []byte) {
	t.Helper()
	content = bytes.Repeat([]byte("base"), kit.Size/4)
	path = filepath.Join(dir, "image")
	testkit.Must(t, os.WriteFile(path, content, 0o600))
	return path, content
}

// over makes disks over path whose own files are in dir.
func over(path, dir string) kit.Maker {
	return func(ctx context.Context) (disk.Interface, error) {
		base, err := overlay.Open(path, testkit.Quiet, func(error) {})
		if err != nil {
			return nil, err
		}
		defer base.Release()
		own, err := kit.Blank(dir, kit.Size)(ctx)
		if err != nil {
			return nil, err
		}
		return overlay.New(own.(*disk.Disk), base)
	}
}

// opens connects a client of keyA, who gets what make makes if its session is new.
func opens(t *testing.T, s *Sessions, make kit.Maker) (*Conn, error) {
	t.Helper()
	if make == nil {
		make = func(context.Context) (disk.Interface, error) {
			t.Error("a fresh disk is asked for")
			return nil, errors.New("none")
		}
	}
	return s.Open(context.Background(), keyA, "export", minute, make)
}

// A session on a base goes on, with what was written and what was not, when the server
// starts again and whatever has become of the base's name.
func TestSessionOnABase(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"as it was": func(string) error { return nil },
		"removed":   os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("other"), 0o600))
		},
		"moved":       func(path string) error { return os.Rename(path, path+".new") },
		"read-only":   func(path string) error { return os.Chmod(path, 0o400) },
		"linked once": func(path string) error { return os.Link(path, path+".link") },
	} {
		for _, sync := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				o, _ := options(t)
				o.Sync = sync
				s := started(t, o)
				path, want := image(t, o.Path)
				c, err := opens(t, s, over(path, o.Path))
				testkit.Must(t, err)
				write := func(at int, text string) {
					testkit.Must(t, c.PWrite([]byte(text), uint64(at), false))
					copy(want[at:], text)
				}
				write(5000, "first")
				wantBytes(t, c, want)
				s.Close(c)
				testkit.Must(t, change(path))
				for i := range 3 {
					if i > 0 {
						s.Stop()
						s = started(t, o)
					}
					c, err = opens(t, s, nil)
					testkit.Must(t, err)
					wantBytes(t, c, want)
					write(100_000*i+7, "again")
					wantBytes(t, c, want)
					s.Close(c)
				}
			})
		}
	}
}

func wantBytes(t *testing.T, c *Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := c.PRead(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got other data than was written, %v", err)
	}
}

// A base that was written to is another one: the session is refused until it is as before.
// So it is where there is no link and the name leads to another file.
func TestSessionOnABaseThatChanges(t *testing.T) {
	for name, linked := range map[string]bool{"linked": true, "by its path": false} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t)
			s := started(t, o)
			dir := o.Path
			if !linked {
				dir = testkit.Tmpfs(t, "10M")
			}
			path, want := image(t, dir)
			info, err := os.Stat(path)
			testkit.Must(t, err)
			c, err := opens(t, s, over(path, o.Path))
			testkit.Must(t, err)
			testkit.Must(t, c.PWrite([]byte("own"), 10, false))
			copy(want[10:], "own")
			s.Close(c)
			refused := func(why error) {
				t.Helper()
				for range 2 {
					_, err := opens(t, s, nil)
					var lost *keep.LostError
					if why == nil && (!errors.As(err, &lost) || lost.Reason != keep.BaseGone) {
						t.Errorf("got %v, want that the base has changed", err)
					} else if why != nil && !errors.Is(err, why) {
						t.Errorf("got %v, want %v", err, why)
					}
				}
			}
			later := info.ModTime().Add(time.Hour)
			testkit.Must(t, os.Chtimes(path, later, later))
			refused(nil)
			testkit.Must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
			if !linked {
				testkit.Must(t, os.Rename(path, path+".away"))
				refused(unix.ENOENT)
				testkit.Must(t, os.WriteFile(path, want, 0o600))
				refused(nil)
				testkit.Must(t, os.Rename(path+".away", path))
			}
			c, err = opens(t, s, nil)
			testkit.Must(t, err)
			wantBytes(t, c, want)
			s.Close(c)
		})
	}
}

// A session goes on over what was its base, wherever that is. It is lost if there is another
// one, but not while one of the two places cannot be read.
func TestSessionOnABaseThatIsInOnePlace(t *testing.T) {
	change := map[string]func(path string) error{
		"same":   func(string) error { return nil },
		"absent": os.Remove,
		"other": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("other"), 0o600))
		},
		"unreadable": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	}
	want := map[string]map[string]error{ // by the link and by the path; nil is a disk
		"absent":     {"same": nil, "absent": unix.ENOENT, "other": unix.ESTALE, "unreadable": unix.EISDIR},
		"other":      {"same": nil, "absent": unix.ESTALE, "other": unix.ESTALE, "unreadable": unix.EISDIR},
		"unreadable": {"same": nil, "absent": unix.EISDIR, "other": unix.EISDIR, "unreadable": unix.EISDIR},
		"same":       {"same": nil, "absent": nil, "other": nil, "unreadable": nil},
	}
	for link, paths := range want {
		for path, want := range paths {
			t.Run(link+" link, "+path+" path", func(t *testing.T) {
				o, _ := options(t)
				s := started(t, o)
				image, content := image(t, o.Path)
				c, err := opens(t, s, over(image, o.Path))
				testkit.Must(t, err)
				testkit.Must(t, c.PWrite([]byte("own"), 10, false))
				copy(content[10:], "own")
				s.Close(c)
				testkit.Must(t, change[link](kit.Path(o.Path, string(keyA)+".base")))
				testkit.Must(t, change[path](image))
				c, err = opens(t, s, nil)
				if lost := errors.As(err, new(*keep.LostError)); !errors.Is(err, want) || lost != (want == unix.ESTALE) {
					t.Fatalf("got %v, want %v", err, want)
				}
				if err == nil {
					wantBytes(t, c, content)
					s.Close(c)
				}
			})
		}
	}
}

// After a crash of the machine, a disk of a server with session-sync is as at its last
// flush, or later.
func TestSessionOnABaseAfterACrash(t *testing.T) {
	o, _ := options(t)
	o.Sync = true
	s := started(t, o)
	path, want := image(t, o.Path)
	c, err := opens(t, s, over(path, o.Path))
	testkit.Must(t, err)
	testkit.Must(t, c.PWrite([]byte("flushed"), 4000, false))
	copy(want[4000:], "flushed")
	testkit.Must(t, c.Do(disk.Request{Op: disk.Flush}))
	testkit.Must(t, c.PWrite([]byte("not flushed"), 500_000, false))
	dies(s) // with its machine
	o.Boot = "another-boot"
	s = started(t, o)
	c, err = opens(t, s, nil)
	testkit.Must(t, err)
	wantBytes(t, c, want)
	// What is kept from then on, and a restart that is no crash, lose nothing.
	testkit.Must(t, c.PWrite([]byte("not flushed"), 900_000, false))
	copy(want[900_000:], "not flushed")
	s.Close(c)
	s.Stop()
	o.Boot = "a-third-boot"
	s = started(t, o)
	c, err = opens(t, s, nil)
	testkit.Must(t, err)
	wantBytes(t, c, want)
	s.Close(c)
}

// The sessions of a large mold, which has no name, come and go. What is left in the end is
// nothing, also of a server that was killed.
func TestSessionsOnAMold(t *testing.T) {
	for name, end := range map[string]func(*Sessions){"stopped": (*Sessions).Stop, "killed": dies} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			blank, mold := kit.Blank(o.Path, kit.Size), func() *overlay.Base {
				d, err := kit.Blank(o.Path, kit.Size)(context.Background())
				testkit.Must(t, err)
				testkit.Must(t, d.PWrite([]byte("mold"), 0))
				b, err := overlay.Own(d.(*disk.Disk), "", "mold")
				testkit.Must(t, err)
				testkit.Must(t, b.Lock())
				return b
			}()
			make := func(ctx context.Context) (disk.Interface, error) {
				own, err := blank(ctx)
				if err != nil {
					return nil, err
				}
				return overlay.New(own.(*disk.Disk), mold)
			}
			for range 3 {
				c, err := opens(t, s, make)
				testkit.Must(t, err)
				testkit.Must(t, c.PWrite([]byte("own"), 100, false))
				s.Close(c)
				other := started(t, o) // which sweeps
				other.Stop()
				c, err = opens(t, s, nil)
				testkit.Must(t, err)
				got := append(kit.Block(0, 0)[:0], "12345678"...)
				testkit.Must(t, c.PRead(got[:4], 0))
				testkit.Must(t, c.PRead(got[4:7], 100))
				if string(got) != "moldown8" {
					t.Errorf("got %q", got)
				}
				s.Close(c)
				now.Pass(2 * time.Minute) // its grace
				wantLost(t, s, keep.Expired, keyA)
				_, err = s.dir.Forget(context.Background(), keyA, time.Time{})
				testkit.Must(t, err)
				s.mu.Lock()
				s.lost.Remove(keyA)
				s.mu.Unlock()
			}
			end(s)
			if name == "stopped" {
				testkit.WantEmpty(t, o.Path)
			}
			testkit.Must(t, mold.Release())
			last := started(t, o)
			last.Stop()
			for _, left := range testkit.Names(t, o.Path) {
				t.Errorf("%s is left: %q", left, testkit.Names(t, filepath.Join(o.Path, left)))
			}
		})
	}
}

// A client whose base has changed gets a fresh disk if its export says so.
func TestFreshDiskForABaseThatChanged(t *testing.T) {
	o, _ := options(t)
	s := started(t, o)
	path, want := image(t, o.Path)
	c, err := opens(t, s, over(path, o.Path))
	testkit.Must(t, err)
	testkit.Must(t, c.PWrite([]byte("own"), 10, false))
	s.Close(c)
	later := time.Now().Add(time.Hour)
	testkit.Must(t, os.Chtimes(path, later, later))
	c, err = s.Open(context.Background(), keyA, "export", freshMinute, over(path, o.Path))
	testkit.Must(t, err)
	wantBytes(t, c, want)
	s.Close(c)
}
