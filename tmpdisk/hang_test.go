// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// While session-dir hangs, clients without a session get their disks, others may
// leave, and the status says what is known.
func TestSessionDirThatHangs(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	s := startServer(t, "session-grace", "1h", "session-key", "name", "session-dir", dir, "min-free", "1M")
	for _, name := range []string{"a/waits", "a/other"} {
		d, err := openNamed(s, name)
		if err == nil {
			err = d.PWrite(make([]byte, 4096), 0)
		}
		testkit.Must(t, err)
		s.Close(d)
	}
	if doc := s.document(); len(doc.Disks) != 2 || doc.Disks[0].Allocated == 0 {
		t.Fatalf("got %+v, want the space of both", doc.Disks)
	}
	stop()
	d, err := openNamed(s, "")
	testkit.Must(t, err)
	s.Close(d)
	for range 3 {
		if doc := s.document(); len(doc.Disks) != 2 || doc.Disks[0].Allocated == 0 || doc.Server.TmpdirFree == 0 {
			t.Errorf("got %+v, want what was known", doc)
		}
		s.metrics()
	}
	ctx, leave := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer leave()
	if err := s.own.ensureSpace(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the space for a session: got %v, want the client's leaving", err)
	}
	goOn()
	if err := s.own.ensureSpace(context.Background(), true); err != nil {
		t.Errorf("once it answers: got %v", err)
	}
}

// While the template-dir of one export hangs, whose file has changed, others are
// served, and all are listed.
func TestTemplateDirThatHangs(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	s, write := exportServer(t, "session-grace", "1h", "session-key", "name", "session-dir", t.TempDir())
	write("a", "size=1M\ncommand=:\ntemplate-dir="+dir+"\n")
	write("b", "size=1M\ncommand=:\n")
	s.Exports()
	stop()
	write("a", "size=2M\ncommand=:\ntemplate-dir="+dir+"\n")
	if x, _ := s.exports.Find("a"); x == nil || x.cfg.Size != 1<<20 {
		t.Errorf("got %v, want the version before", x)
	}
	for _, name := range []string{"b", "b/token"} {
		d, err := openNamed(s, name)
		testkit.Must(t, err)
		s.Close(d)
	}
	if list, _ := s.Exports(); len(list) != 2 {
		t.Errorf("got %v, want both", list)
	}
	s.document()
	goOn()
	testkit.WaitFor(t, "the new version", func() bool {
		x, _ := s.exports.Find("a")
		return x != nil && x.cfg.Size == 2<<20
	})
}

// While export-dir hangs, or a file in it, clients of the exports that it had are served,
// and those that ask for another are told why it is not known.
func TestExportDirThatHangs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(t *testing.T, s *Server, dir, away string)
	}{
		{"the directory", func(*testing.T, *Server, string, string) {}},
		{"a template-dir", func(t *testing.T, s *Server, dir, away string) {
			testkit.Must(t, os.WriteFile(filepath.Join(dir, "x.conf"), []byte("size=1M\ncommand=:\ntemplate-dir="+away+"\n"), 0o644))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			privateTMPDIR(t)
			away, stop, goOn := testkit.HangingFUSE(t)
			dir := away
			if tt.name != "the directory" {
				dir = t.TempDir()
				testkit.Must(t, os.Chmod(dir, 0o700))
			}
			testkit.Must(t, os.WriteFile(filepath.Join(dir, "a.conf"), []byte("size=1M\ncommand=:\n"), 0o644))
			s := NewServer(testconfig.Of(t, "export-dir", dir), quietHost{testkit.Host{TB: t}}, "1")
			s.Start()
			defer s.Stop()
			defer goOn()
			stop()
			tt.begin(t, s, dir, away)
			for range 3 {
				_, err := openNamed(s, "x")
				testkit.Contains(t, err, `export "x": `, "does not answer", "there are a")
				if errors.Is(err, unix.ENOENT) {
					t.Errorf("got %v, want no word that there is none", err)
				}
				d, err := openNamed(s, "a")
				testkit.Must(t, err)
				s.Close(d)
			}
		})
	}
}

// Those who wait for a template-dir that hangs do not keep the turns of others, who
// have their disks made by a command as well.
func TestTemplateDirThatHangsKeepsNoTurn(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	s, write := exportServer(t, "make-jobs", "1")
	write("a", "size=1M\ncommand=:\ntemplate-dir="+dir+"\n")
	write("b", "size=1M\ncommand=:\n")
	s.Exports()
	stop()
	d, err := openNamed(s, "a")
	if err == nil {
		s.Close(d)
	}
	testkit.Contains(t, err, "template-dir: ", "does not answer")
	if d, err = openNamed(s, "b"); err != nil {
		t.Fatal(err)
	}
	s.Close(d)
	goOn()
	testkit.WaitFor(t, "the answer", func() bool {
		d, err := openNamed(s, "a")
		if err == nil {
			s.Close(d)
		}
		return err == nil
	})
}

// A server starts, serves those whose disks are elsewhere, and ends, though a directory
// hangs.
func TestStartWhileADirectoryHangs(t *testing.T) {
	for _, parameter := range []string{"session-dir", "template-dir", "export-dir", "metrics-file", "TMPDIR"} {
		t.Run(parameter, func(t *testing.T) {
			privateTMPDIR(t)
			dir, stop, goOn := testkit.HangingFUSE(t)
			pairs := []string{"size", "1M", "type", "swap", "session-grace", "1h", "session-key", "name"}
			switch parameter {
			case "session-dir", "export-dir":
				pairs = append(pairs, parameter, dir)
			case "template-dir":
				pairs = []string{"size", "1M", "command", ":", parameter, dir}
			case "metrics-file":
				pairs = append(pairs, parameter, filepath.Join(dir, "x.prom"))
			case "TMPDIR":
				t.Setenv("TMPDIR", dir)
			}
			host := &errorLog{quietHost: quietHost{testkit.Host{TB: t}}}
			s := NewServer(testconfig.Of(t, pairs...), host, "1")
			s.patience, s.startPatience = 500*time.Millisecond, 500*time.Millisecond
			stop()
			defer goOn()
			started := make(chan struct{})
			go func() {
				defer close(started)
				s.Start()
			}()
			select {
			case <-started:
			case <-time.After(time.Minute):
				goOn()
				t.Fatal("the server does not start")
			}
			if parameter == "session-dir" || parameter == "export-dir" || parameter == "metrics-file" {
				d, err := openNamed(s, "")
				testkit.Must(t, err)
				s.Close(d)
			}
			if parameter != "metrics-file" {
				host.want(t, parameter+" "+dir, "does not answer")
			}
			wantStopped(t, s, goOn)
			goOn()
			s.ending.Wait()
		})
	}
}

// While one directory hangs, the start goes on in the others.
func TestStartsSideBySide(t *testing.T) {
	privateTMPDIR(t)
	dir, stop, goOn := testkit.HangingFUSE(t)
	exports, sessions := t.TempDir(), t.TempDir()
	testkit.Must(t, os.Chmod(exports, 0o700))
	testkit.Must(t, os.WriteFile(filepath.Join(exports, "a.conf"), []byte("template-dir="+t.TempDir()+"\n"), 0o600))
	s := NewServer(testconfig.Of(t, "size", "1M", "command", ":", "template-dir", dir,
		"export-dir", exports, "session-grace", "1h", "session-dir", sessions), quietHost{testkit.Host{TB: t}}, "1")
	s.startPatience = time.Hour
	stop()
	defer goOn()
	started := sys.Begin(s.Start)
	testkit.WaitFor(t, "session-dir", func() bool { return len(testkit.Names(t, sessions)) == 1 })
	testkit.WaitFor(t, "export-dir", func() bool { return len(s.liveExports()) == 2 })
	if !started.GoesOn() {
		t.Error("got a start that has ended, want it to wait for template-dir")
	}
	goOn()
	<-started
	s.Stop()
}
