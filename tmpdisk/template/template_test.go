// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

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

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

// kept fails the test if there is anything but templates.
func kept(t testing.TB, m *Templates) []string {
	t.Helper()
	names := testkit.Names(t, privateDir(m))
	for _, name := range names {
		if len(name) != 64 {
			t.Errorf("got %q among the templates", name)
		}
	}
	return names
}

func inGroup(wg *sync.WaitGroup, f func()) {
	wg.Add(1)
	go func() {
		defer wg.Done()
		f()
	}()
}

// makeOne makes a disk, checks that it begins with want, and closes it.
func makeOne(t testing.TB, m *Templates, want string) {
	t.Helper()
	d, err := m.Make(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer closeDisk(t, d)
	got := make([]byte, len(want))
	if err := d.PRead(got, 0); err != nil || string(got) != want {
		t.Errorf("got %q, %v at the beginning, want %q", got, err, want)
	}
}

func TestTemplateIsMadeOnce(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	m := templates(t, 1<<20, "echo >>"+ran+`; printf made >"$disk"`)
	for range 5 {
		makeOne(t, m, "made")
	}
	if got := testkit.Runs(t, ran); got != 1 {
		t.Errorf("got %d runs of the command, want 1", got)
	}
}

func TestTemplateDisksAreSeparate(t *testing.T) {
	m := templates(t, 1<<20, `printf made >"$disk"`)
	var disks []*disk.Disk
	for i := range 4 {
		d, err := m.Make(context.Background())
		testkit.Must(t, err)
		defer closeDisk(t, d)
		testkit.Must(t, d.PWrite([]byte{byte(i)}, 0))
		disks = append(disks, d)
	}
	for i, d := range disks {
		got := make([]byte, 4)
		if err := d.PRead(got, 0); err != nil || got[0] != byte(i) || string(got[1:]) != "ade" {
			t.Errorf("got %q, %v on disk %d", got, err, i)
		}
	}
	makeOne(t, m, "made")
	if n := len(kept(t, m)); n != 1 {
		t.Errorf("got %d templates, want 1", n)
	}
}

func TestTemplateManyAtOnce(t *testing.T) {
	dir, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	command := "echo >>" + ran + `; sleep 0.2; printf made >"$disk"`
	var wg sync.WaitGroup
	for range 4 { // each is what a server has
		m := templatesIn(t, dir, 1<<20, command)
		for range 5 {
			inGroup(&wg, func() { makeOne(t, m, "made") })
		}
	}
	wg.Wait()
	if got := testkit.Runs(t, ran); got != 1 {
		t.Errorf("got %d runs of the command, want 1", got)
	}
}

// The template is renewed all the time while it is being used, and somebody
// even takes a builder's own file away.
func TestTemplateReplacedWhileUsed(t *testing.T) {
	m := templates(t, 8<<20,
		`head -c 4000000 /dev/zero | tr '\0' x >"$disk"; printf end >>"$disk"`)
	want := strings.Repeat("x", 4000000) + "end"
	makeOne(t, m, want)
	ctx, cancel := context.WithCancel(context.Background())
	var remover, users sync.WaitGroup
	inGroup(&remover, func() {
		for ctx.Err() == nil {
			for _, name := range testkit.Names(t, privateDir(m)) {
				os.Remove(filepath.Join(privateDir(m), name))
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for range 3 {
		inGroup(&users, func() {
			for range 15 {
				makeOne(t, m, want)
			}
		})
	}
	users.Wait()
	cancel()
	remover.Wait()
}

func TestTemplateBuildThatFails(t *testing.T) {
	m := templates(t, 1<<20, `echo reason >&2; exit 3`)
	for range 2 {
		_, err := m.Make(context.Background())
		testkit.Contains(t, err, "exit code 3", "reason")
	}
	if left := kept(t, m); len(left) != 0 {
		t.Errorf("got %q left, want nothing", left)
	}
}

func TestTemplateWaiterIsTold(t *testing.T) {
	m := templates(t, 1<<20, "true")
	dir, err := openDir(m.opts.Dir, true)
	testkit.Must(t, err)
	defer dir.Close()
	lock, err := dir.tryLock(m.maker.Key())
	testkit.Must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = m.Make(ctx)
	testkit.Contains(t, err, "wait for another to build the template")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	// The builder dies: the next one takes over.
	lock.Close()
	makeOne(t, m, "\x00")
	if n := len(kept(t, m)); n != 1 {
		t.Errorf("got %d templates, want 1", n)
	}
}

func TestTemplateUnfit(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	testkit.Must(t, os.WriteFile(base, []byte("base"), 0o600))
	t.Run("a link to a file that stays", func(t *testing.T) {
		m := templates(t, 0, `ln -sf "$base" "$disk"`)
		m.maker.(*shellMaker).base = base
		for range 2 {
			d, err := m.Make(context.Background())
			testkit.Must(t, err)
			if err := d.PWrite([]byte("mine"), 0); err != nil {
				t.Error(err)
			}
			closeDisk(t, d)
		}
		if got, err := os.ReadFile(base); err != nil || string(got) != "base" {
			t.Errorf("got %q, %v in the file, want base", got, err)
		}
	})
	t.Run("a file that changes meanwhile", func(t *testing.T) {
		m := templates(t, 1<<20, `echo >>"$base"`)
		m.maker.(*shellMaker).base = base
		makeOne(t, m, "\x00")
		if left := kept(t, m); len(left) != 0 {
			t.Errorf("got %q, want no template", left)
		}
	})
	t.Run("a read-only disk", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root writes to every file")
		}
		m := templates(t, 1<<20, `chmod 400 "$disk"`)
		for range 2 {
			d, err := m.Make(context.Background())
			testkit.Must(t, err)
			if !d.ReadOnly() {
				t.Error("got a disk that can be written to")
			}
			closeDisk(t, d)
		}
		if left := kept(t, m); len(left) != 0 {
			t.Errorf("got %q, want no template", left)
		}
		if m.miss.key != m.maker.Key() || time.Until(m.miss.until) < time.Hour {
			t.Errorf("got %+v, want it to be remembered", m.miss)
		}
	})
}

func TestTemplateUseIsNoted(t *testing.T) {
	m := templates(t, 1<<20, "true")
	makeOne(t, m, "\x00")
	path := filepath.Join(privateDir(m), kept(t, m)[0])
	old := time.Now().Add(-time.Hour)
	testkit.Must(t, os.Chtimes(path, old, old))
	makeOne(t, m, "\x00")
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) > time.Minute {
		t.Errorf("got last use %v, %v, want now", info.ModTime(), err)
	}
}

func TestTemplateSizeOfTheCommand(t *testing.T) {
	m := templates(t, 0, `truncate -s 12345 "$disk"`)
	for range 2 {
		d, err := m.Make(context.Background())
		testkit.Must(t, err)
		if d.Size() != 12345 {
			t.Errorf("got size %d, want 12345", d.Size())
		}
		closeDisk(t, d)
	}
}

func TestTemplateIsSparse(t *testing.T) {
	m := templates(t, 64<<20, `head -c 32M /dev/zero | dd of="$disk" bs=1M conv=notrunc 2>&1`)
	makeOne(t, m, "\x00")
	var st unix.Stat_t
	testkit.Must(t, unix.Stat(filepath.Join(privateDir(m), kept(t, m)[0]), &st))
	if st.Size != 64<<20 || st.Blocks*512 > 1<<20 {
		t.Errorf("got %d bytes, %d allocated, want 64 MiB and next to none", st.Size, st.Blocks*512)
	}
}

// Each round has a key of its own, and all who come find one template.
type roundMaker struct {
	*shellMaker
	round, built atomic.Int32
}

func (m *roundMaker) Key() string { return fmt.Sprintf("%064x", m.round.Load()) }

func (m *roundMaker) Fresh(ctx context.Context) (*disk.Disk, error) {
	m.built.Add(1)
	return m.shellMaker.Fresh(ctx)
}

// However close two come, one of them builds.
func TestTemplateIsBuiltOnce(t *testing.T) {
	m := &roundMaker{shellMaker: &shellMaker{t: t, size: 1 << 20, command: "true"}}
	all := newTemplates(t, t.TempDir(), m)
	all.opts.Debug = testkit.Quiet
	for round := range int32(200) {
		m.round.Store(round)
		m.built.Store(0)
		var wg sync.WaitGroup
		for range 8 {
			inGroup(&wg, func() { makeOne(t, all, "\x00") })
		}
		wg.Wait()
		if n := m.built.Load(); n != 1 {
			t.Fatalf("got it built %d times in round %d, want once", n, round)
		}
	}
}
