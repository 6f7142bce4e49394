// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
)

// exportServer is a started server whose directory of exports the returned
// function writes to: an empty text removes the file.
func exportServer(t *testing.T, pairs ...string) (*Server, func(name, text string)) {
	t.Helper()
	parent, dir := privateTMPDIR(t), t.TempDir()
	testkit.Must(t, os.Chmod(dir, 0o755))
	s := NewServer(testconfig.Of(t, append(pairs, "export-dir", dir)...), quietHost{testkit.Host{TB: t}}, "1")
	s.Start()
	t.Cleanup(func() {
		s.Stop()
		testkit.WantEmpty(t, parent)
	})
	return s, func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name+".conf")
		if text == "" {
			testkit.Must(t, os.Remove(path))
			return
		}
		testkit.Must(t, os.WriteFile(path+".new", []byte(text), 0o644))
		testkit.Must(t, os.Rename(path+".new", path))
	}
}

func TestExportsAreFound(t *testing.T) {
	s, write := exportServer(t)
	write("b", "size=2M\ntype=swap\nexport-description=bee\n")
	write("a", "size=1M\ncommand=:\n")
	got, ok := s.Exports()
	if want := []Export{{"a", ""}, {"b", "bee"}}; !ok || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, ok, want)
	}
	for name, size := range map[string]int64{"a": 1 << 20, "b": 2 << 20} {
		d, err := openNamed(s, name)
		testkit.Must(t, err)
		if d.Size() != size {
			t.Errorf("%s: got %d bytes, want %d", name, d.Size(), size)
		}
		s.Close(d)
	}
	for _, name := range []string{"", "c", "a.conf", "../a", "a\x00", "A", "a/token", strings.Repeat("a", 4096), "\xff"} {
		if _, err := openNamed(s, name); err == nil {
			t.Errorf("%.20q: got a disk, want an error", name)
		}
	}
	_, err := openNamed(s, "")
	testkit.Contains(t, err, "the client names no export", "there are a, b")
}

func TestUnknownNamesAFew(t *testing.T) {
	s, write := exportServer(t)
	_, err := openNamed(s, "x")
	testkit.Contains(t, err, `export "x": there is no such export: there are none`)
	for i := range 30 {
		write(fmt.Sprintf("e%02d", i), "size=1M\ncommand=:\n")
	}
	_, err = openNamed(s, "x")
	testkit.Contains(t, err, "there are e00, e01, ", "e19, and 10 more")
}

// An errorHost keeps what is logged.
type errorHost struct {
	quietHost
	errors *[]string
}

func (h errorHost) Error(msg string) { *h.errors = append(*h.errors, msg) }

func TestMoreExportsThanCanBeListed(t *testing.T) {
	s, write := exportServer(t, "size", "1M", "command", ":")
	write("a", "command=:\n")
	var errors []string
	s.host = errorHost{quietHost{testkit.Host{TB: t}}, &errors}
	if s.sayMany(2); len(errors) != 0 {
		t.Errorf("got %q for two exports, want nothing", errors)
	}
	if s.sayMany(1); len(errors) != 1 || !strings.Contains(errors[0], "2 exports: nbdkit lists at most 1") {
		t.Errorf("got %q, want that nbdkit does not list two", errors)
	}
}

// Who waits for a disk when the export changes gets it; the next one gets the new
// one's; and neither spare disks nor makers of the old one stay.
func TestExportChangesUnderItsClients(t *testing.T) {
	s, write := exportServer(t, "make-jobs", "1")
	gate := filepath.Join(t.TempDir(), "gate")
	write("a", "size=1M\nspare-disks=2\ncommand=until [ -e "+gate+" ]; do sleep 0.01; done; printf old >\"$disk\"\n")
	type result struct {
		d   *Connection
		err error
	}
	waits := make(chan result)
	go func() {
		d, err := openNamed(s, "a")
		waits <- result{d, err}
	}()
	old, _ := s.exports.Find("a")
	testkit.WaitFor(t, "the client", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		return old.users == 1
	})
	write("a", "size=1M\ncommand=printf new >\"$disk\"\n")
	if x, _ := s.exports.Find("a"); x == old {
		t.Fatal("got the old export, want a new one")
	}
	if old.enter() {
		t.Error("the old export takes new clients")
	}
	testkit.Must(t, os.WriteFile(gate, nil, 0o600))
	r := <-waits
	if r.err != nil {
		t.Fatalf("the client that waited: %v", r.err)
	}
	if got := text(t, r.d); got != "old" {
		t.Errorf("the client that waited: got %q, want old", got)
	}
	d, err := openNamed(s, "a")
	testkit.Must(t, err)
	if got := text(t, d); got != "new" {
		t.Errorf("the next client: got %q, want new", got)
	}
	s.Close(d)
	s.Close(r.d)
}

// text is what the disk begins with.
func text(t *testing.T, d *Connection) string {
	t.Helper()
	buf := make([]byte, 3)
	if err := d.PRead(buf, 0); err != nil {
		t.Error(err)
	}
	return string(buf)
}

// While exports come, change and go, each client gets a disk of one version.
func TestExportsUnderClients(t *testing.T) {
	s, write := exportServer(t, "session-grace", "1h", "session-key", "name", "session-dir", t.TempDir())
	write("a", "size=1M\ncommand=printf v01 1<>\"$disk\"\n")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var served [2]int
	for i := range served {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				name := "a"
				if i == 1 {
					name = fmt.Sprintf("a/%d", n)
				}
				d, err := openNamed(s, name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				served[i]++
				v := text(t, d)
				if want := fmt.Sprintf("v%02d", d.Size()>>20); v != want {
					t.Errorf("%s: got %s on a disk of %d bytes", name, v, d.Size())
				}
				s.Close(d)
			}
		}()
	}
	for i := range 60 {
		v := 1 + i%30
		write("a", fmt.Sprintf("size=%dM\nspare-disks=%d\ncommand=printf v%02d 1<>\"$disk\"\n", v, i%3, v))
		if i%5 == 0 {
			write("b", fmt.Sprintf("size=%dM\ntype=swap\n", v))
			s.Exports()
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	if served[0] == 0 || served[1] == 0 {
		t.Errorf("served %v clients", served)
	}
}

// A disk that an earlier server has left waits as its export says, or, if that is
// not there, as others do.
func TestGraceOfAnExport(t *testing.T) {
	s, write := exportServer(t)
	write("a", "size=1M\nsession-grace=1h\n")
	write("b", "size=1M\n")
	for name, want := range map[string]time.Duration{"a": time.Hour, "b": 24 * time.Hour, "gone": 24 * time.Hour, "": 24 * time.Hour} {
		if got := s.graceOf(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	// One whose own disk has no sessions.
	s, _ = exportServer(t, "size", "1M")
	for _, name := range []string{"", files.Unknown} {
		if got := s.graceOf(name); got != 24*time.Hour {
			t.Errorf("%q: got %v, want a day", name, got)
		}
	}
	// And one whose own disk has a short grace.
	s, _ = exportServer(t, "size", "1M", "session-grace", "1m")
	for name, want := range map[string]time.Duration{"": time.Minute, files.Unknown: 24 * time.Hour} {
		if got := s.graceOf(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

func TestSizeThatClientNames(t *testing.T) {
	s, write := exportServer(t, "size", "1M", "type", "swap", "session-grace", "1h", "session-key", "name", "session-dir", t.TempDir())
	write("a", "size-max=4M\nexport-description=any\n")
	write("b", "size=2M\n")
	write("c", "size-max=8M\n")
	const mib = 1 << 20
	for _, tt := range []struct {
		name string
		want int64
	}{
		{"a", mib}, {"a:3M", 3 * mib}, {"a:1M", mib}, {"a:4194304", 4 * mib}, {"b", 2 * mib},
		{"c:4M", 4 * mib},
		{"a:2M/one", 2 * mib}, {"a/one", 2 * mib}, {"a:2097152/one", 2 * mib}, {"a/two", mib}, {"a:1M/two", mib},
	} {
		d, err := openNamed(s, tt.name)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d.Size() != tt.want {
			t.Errorf("%s: got %d bytes, want %d", tt.name, d.Size(), tt.want)
		}
		testkit.Must(t, d.PWrite([]byte("used"), 0)) // a session that was not is forgotten
		s.Close(d)
	}
	for name, want := range map[string]string{
		"a:5M":       "a disk of 5242880 bytes: parameter size-max: at most 4194304",
		"a:0":        `"0" is no size`,
		"a:":         `"" is no size`,
		"a:x":        `"x" is no size`,
		"a:-1M":      `"-1M" is no size`,
		"a:1M:1M":    `export "a:1M:1M": there is no such export`,
		"b:1M":       `export "b:1M": there is no such export`, // it has no size-max
		":1M":        `export ":1M": there is no such export`,
		"a:3M/one":   "the session's disk has 2097152 bytes, not 3145728",
		"a:x/one":    `"x" is no size`,
		"a:5M/three": "at most 4194304",
	} {
		if d, err := openNamed(s, name); err == nil {
			t.Errorf("%s: got a disk", name)
			s.Close(d)
		} else {
			testkit.Contains(t, err, want)
		}
	}
	got, _ := s.Exports()
	if want := []Export{{"", ""}, {"a", "any (up to 4M)"}, {"b", ""}, {"c", "up to 8M"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Where every name is served alike, what follows its last colon is a size.
func TestSizeThatClientNamesWithoutExports(t *testing.T) {
	parent := privateTMPDIR(t)
	s := NewServer(testconfig.Of(t, "size", "1M", "type", "swap", "size-max", "4M"), quietHost{testkit.Host{TB: t}}, "1")
	s.Start()
	for name, want := range map[string]int64{"": 1 << 20, "x": 1 << 20, ":2M": 2 << 20, "x:3M": 3 << 20, "a/b:c:3M": 3 << 20} {
		d, err := openNamed(s, name)
		testkit.Must(t, err)
		if d.Size() != want {
			t.Errorf("%q: got %d bytes, want %d", name, d.Size(), want)
		}
		s.Close(d)
	}
	_, err := openNamed(s, "host:port")
	testkit.Contains(t, err, `export "host:port": "port" is no size`)
	s.Stop()
	testkit.WantEmpty(t, parent)
}

// What a session's record says that its disk is to wait for is its export's session-grace,
// for servers that have others.
func TestRecordsSayTheGrace(t *testing.T) {
	sessions := t.TempDir()
	record := func(want string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(sessions, files.Directories.Name+"-*", "*.json"))
		testkit.Must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			testkit.Must(t, errors.Join(err, os.Remove(file)))
			if strings.Count(string(text), `"grace":`+want+`,"config":"`) != 2 {
				t.Errorf("got %s, want twice the grace %s", text, want)
			}
		}
		if len(files) != 1 {
			t.Errorf("got %q, want one record", files)
		}
	}
	use := func(s *Server, name string) {
		t.Helper()
		d, err := openNamed(s, name)
		testkit.Must(t, err)
		testkit.Must(t, d.PWrite([]byte("x"), 0))
		s.Close(d)
	}
	use(startServer(t, "session-grace", "2h", "session-key", "name", "session-dir", sessions), "any/one")
	record("7200000000000")
	s, write := exportServer(t, "session-grace", "2h", "session-key", "name", "session-dir", sessions)
	write("a", "size=1M\ncommand=:\nsession-grace=3h\n")
	use(s, "a/one")
	record("10800000000000")
}

// A version of a file of which no disk can be made changes nothing. One that is new is no
// export until it is mended.
func TestExportsThatCanNeverWork(t *testing.T) {
	s, write := exportServer(t)
	write("a", "size=1M\ntype=swap\n")
	s.Exports()
	write("a", "size=8K\ntype=swap\n")
	write("b", "size=8K\ntype=swap\n")
	if x, _ := s.exports.Find("a"); x == nil || x.cfg.Size != 1<<20 {
		t.Errorf("got %v, want the version before", x)
	}
	if x, ok := s.exports.Find("b"); ok {
		t.Errorf("got %v, want none", x)
	}
	write("b", "size=2M\ntype=swap\n")
	d, err := openNamed(s, "b")
	testkit.Must(t, err)
	s.Close(d)
}
