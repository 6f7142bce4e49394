// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package trial

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
)

// A leaver takes what Try leaves.
type leaver struct {
	t   *testing.T
	mu  sync.Mutex
	fds map[string]int
}

func (l *leaver) leave(key string, fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	testkit.Must(l.t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.fds[key]; ok {
		l.t.Errorf("%s: left twice", key)
	}
	l.fds[key] = own
	return nil
}

// tryDisks tries these, one after the other: key, value, key, value...
func tryDisks(t *testing.T, commandLines ...[]string) (*leaver, error) {
	t.Helper()
	host := testkit.Host{TB: t}
	var disks []config.Disk
	for i, pairs := range commandLines {
		d := config.Disk{Config: testconfig.Of(t, pairs...)}
		if i > 0 {
			d.File = fmt.Sprintf("/exports/%d.conf", i)
		}
		disks = append(disks, d)
	}
	dir := t.TempDir()
	l := &leaver{t: t, fds: map[string]int{}}
	err := Try(maker.Options{Dir: dir, Counts: &maker.Counts{}, Debug: host.Debug, Error: host.Error}, disks, l.leave)
	testkit.WantEmpty(t, dir)
	t.Cleanup(func() {
		for _, fd := range l.fds {
			unix.Close(fd)
		}
	})
	return l, err
}

// says is a program that says this, and fails.
func says(text string) string { return "echo '" + text + "' >&2; exit 1" }

func TestTryRefusesWhatCanNeverWork(t *testing.T) {
	cases := []struct {
		name, script string // of a program that stands in for mkswap
		pairs        []string
		wants        []string
	}{
		{"a disk that is too small", "", []string{"size", "4K", "type", "swap"}, []string{"no swap of 4096 bytes", "mkswap: exit code 1: ", "at least"}},
		{"another message", says("no such\nluck\nUsage: mkswap\nand so on"), []string{"size", "1M", "type", "swap"},
			[]string{"mkswap: exit code 1: no such; luck"}},
		{"a program that is missing", "", []string{"size", "1M", "type", "nosuchfs"}, []string{"parameter type: mkfs.nosuchfs: program not found"}},
		{"a file that is too large", "", []string{"size", fmt.Sprint(1<<63 - 4096)}, []string{"parameter size: ", "more than a file", "can have"}},
		{"a command's file that is too large", "", []string{"size", fmt.Sprint(1<<63 - 4096), "command", ":"}, []string{"parameter size: ", "more than a file"}},
		{"a filesystem that leaves room", `for disk; do :; done; truncate -s -64M "$disk"; /usr/sbin/mkswap "$disk"; truncate -s +64M "$disk"`,
			[]string{"size", "256M", "type", "swap"}, []string{"parameter size: the swap filesystem has 201326592 bytes, and the disk 268435456"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.script != "" {
				testkit.Program(t, "mkswap", c.script)
			}
			l, err := tryDisks(t, c.pairs)
			testkit.Contains(t, err, c.wants...)
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "sage") {
				t.Errorf("got %q, want one line without how it is used", err)
			}
			if len(l.fds) > 0 {
				t.Errorf("got %v, want that nothing is left", l.fds)
			}
		})
	}
}

func TestTryLetsPassWhatMayPass(t *testing.T) {
	cases := []struct{ name, script string }{
		{"no space", says("mkswap: write: No space left on device")},
		{"no processes", says("sh: Cannot fork")},
		{"no descriptors", says("mkswap: Too many open files")},
		{"an error of the storage", says("mkswap: Input/output error")},
		{"a filesystem's server that has ended", says("mkswap: write: Transport endpoint is not connected")},
		{"no libraries now", says("mkswap: error while loading shared libraries: libuuid.so.1: cannot open shared object file: Error 23")},
		{"nothing said", "exit 1"},
		{"a signal", "echo a >&2; kill -9 $$"},
		{"a program's signal", "echo a >&2; exit 139"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			testkit.Program(t, "mkswap", c.script)
			l, err := tryDisks(t, []string{"size", "1M", "type", "swap"})
			if err != nil || len(l.fds) > 0 {
				t.Errorf("got %v, and %v left, want neither", err, l.fds)
			}
		})
	}
}

// Those that are alike are tried once, and all for a moment only.
func TestTryTriesEachKindOnce(t *testing.T) {
	runs := testkit.Program(t, "mkswap", `sleep 0.1; exec /usr/sbin/mkswap "$@"`)
	lines := [][]string{{"size", "3M", "type", "swap"}, {"size", "1M", "command", ":"}, {"size", "3M", "type", "swap"}}
	l, err := tryDisks(t, lines...)
	testkit.Must(t, err)
	if got := testkit.Runs(t, runs); got != 1 || len(l.fds) != 1 {
		t.Errorf("got %d runs, and %v left, want 1", got, l.fds)
	}
	for i := range 8 * runtime.NumCPU() {
		lines = append(lines, []string{"size", fmt.Sprintf("%dM", i+4), "type", "swap"})
	}
	_, err = tryDisks(t, lines...)
	testkit.Must(t, err)
	if got, most := testkit.Runs(t, runs), 1+first+runtime.NumCPU(); got > most {
		t.Errorf("got %d runs of a program that takes long, want %d at most", got, most)
	}
}

// The first is tried first, and of the others the smallest and the largest.
func TestOrderOfTrials(t *testing.T) {
	var disks []config.Disk
	for i, size := range []string{"3M", "4M", "6M", "2M", "5M"} {
		d := config.Disk{Config: testconfig.Of(t, "size", size, "type", "swap"), File: "x"}
		if i == 0 {
			d.File = ""
		}
		disks = append(disks, d)
	}
	kinds, err := kindsOf(maker.Options{Dir: t.TempDir(), Debug: testkit.Quiet}, disks)
	testkit.Must(t, err)
	var got []int64
	for _, k := range kinds {
		got = append(got, k.size>>20)
	}
	if want := []int64{3, 2, 6, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("got %v MiB, want %v", got, want)
	}
}

// The error says whose it is. The server's own disk comes first, then the smallest.
func TestTryNamesTheExport(t *testing.T) {
	_, err := tryDisks(t, []string{"size", "1M", "type", "swap"}, []string{"size", "1M", "type", "swap", "label", "a"},
		[]string{"size", "8K", "type", "swap"})
	testkit.Contains(t, err, "parameter export-dir: /exports/2.conf: parameter type: no swap of 8192 bytes")
}
