// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// errorLog is a Host that keeps what is logged.
type errorLog struct {
	quietHost
	mu    sync.Mutex
	lines []string
}

func (l *errorLog) Error(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// want fails the test unless one line has all of these.
func (l *errorLog) want(t *testing.T, words ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		has := true
		for _, word := range words {
			has = has && strings.Contains(line, word)
		}
		if has {
			return
		}
	}
	t.Errorf("got the log %q, want %q in a line", l.lines, words)
}

// A server ends though TMPDIR hangs in the middle of the making of a disk. It says what
// it has left.
func TestStopWhileDisksAreMade(t *testing.T) {
	command := []string{"size", "1M", "command", `truncate -s 1M "$disk"`}
	tests := []struct {
		name   string
		pairs  []string // HANGS is the directory that hangs
		export string
		left   string
	}{
		{"mkfs", []string{"size", "1M", "type", "ext4"}, "", "the making of disks in HANGS"},
		{"command", command, "", "the making of disks in HANGS"},
		{"template", append(command, "template-dir", "HANGS"), "", "the making of disks in HANGS"},
		{"spare disks", append(command, "spare-disks", "2"), "", "the making of disks in HANGS"},
		{"export", []string{"export-dir", "EXPORTS"}, "a", `the making of disks of export "a" in HANGS`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hangs, stop, goOn := testkit.HangingFUSE(t)
			t.Setenv("TMPDIR", hangs)
			exports := t.TempDir()
			if err := os.WriteFile(filepath.Join(exports, "a.conf"), []byte("size=1M\ncommand=:\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			paths := strings.NewReplacer("HANGS", hangs, "EXPORTS", exports)
			var pairs []string
			for _, p := range tt.pairs {
				pairs = append(pairs, paths.Replace(p))
			}
			host := &errorLog{quietHost: quietHost{testkit.Host{TB: t}}}
			s := NewServer(testconfig.Of(t, pairs...), host, "1")
			s.patience = 500 * time.Millisecond
			s.Start()
			stop()
			client := make(chan struct{})
			go func() {
				defer close(client)
				if d, err := openNamed(s, tt.export); err == nil {
					s.Close(d)
				}
			}()
			testkit.WaitFor(t, "the making of a disk", func() bool { return s.metrics().Making > 0 })
			wantStopped(t, s, goOn)
			host.want(t, "leaves behind", paths.Replace(tt.left))
			goOn()
			<-client
		})
	}
}

// A server ends though its session-dir hangs.
func TestStopWhileSessionDirHangs(t *testing.T) {
	hangs, stop, goOn := testkit.HangingFUSE(t)
	privateTMPDIR(t)
	host := &errorLog{quietHost: quietHost{testkit.Host{TB: t}}}
	s := NewServer(testconfig.Of(t, "size", "1M", "command", ":", "session-grace", "1h", "session-key", "name", "session-dir", hangs), host, "1")
	s.patience = 500 * time.Millisecond
	s.Start()
	d, err := openNamed(s, "a/waits")
	if err == nil {
		err = d.PWrite([]byte{1}, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Close(d)
	stop()
	wantStopped(t, s, goOn)
	host.want(t, "leaves behind", "sessions in "+hangs)
	goOn()
}

// wantStopped stops s, which must not wait for goOn.
func wantStopped(t *testing.T, s *Server, goOn func()) {
	t.Helper()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		goOn()
		t.Fatal("the server does not stop")
	}
}
