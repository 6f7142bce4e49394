// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

func TestSweepOnlyUnfinishedFiles(t *testing.T) {
	const digits = "0123456789abcdef0123"
	tests := []struct {
		name  string
		make  func(path string) error
		swept bool
	}{
		{".x.tmp." + digits, touch, true},
		{".x." + digits, touch, false},
		{".x.tmp." + digits[1:], touch, false},
		{".x.tmp", touch, false},
		{"x.tmp." + digits, touch, false},
		{".y.tmp." + digits, touch, false},
		{"x", touch, false},
		{".x.tmp." + digits, func(path string) error { return os.Mkdir(path, 0o700) }, false},
		{".x.tmp." + digits, func(path string) error { return unix.Mkfifo(path, 0o600) }, false},
		{".x.tmp." + digits, func(path string) error { return os.Symlink(".", path) }, false},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		testkit.Must(t, tt.make(filepath.Join(dir, tt.name)))
		NewFile(dir+"/x", 0o600).Sweep()
		if got := len(testkit.Names(t, dir)) == 0; got != tt.swept {
			t.Errorf("%s: got swept %v, want %v", tt.name, got, tt.swept)
		}
	}
}

func touch(path string) error { return os.WriteFile(path, nil, 0o600) }

// Others may start at any moment.
func TestSweptWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f := NewFile(path, 0o600)
	for range 1000 {
		swept := make(chan struct{})
		go func() {
			NewFile(path, 0o600).Sweep()
			close(swept)
		}()
		err := f.Write([]byte("text"))
		<-swept
		testkit.Must(t, err)
	}
}

// TestWriteUntilKilled is the server that TestKilled kills.
func TestWriteUntilKilled(t *testing.T) {
	path := os.Getenv("TMPDISK_WRITE_UNTIL_KILLED")
	if path == "" {
		t.Skip("only in a process of its own")
	}
	f := NewFile(path, 0o600)
	for text := bytes.Repeat([]byte("text"), 1<<21); ; {
		testkit.Must(t, f.Write(text))
	}
}

func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	server := exec.Command(os.Args[0], "-test.run=^TestWriteUntilKilled$", "-test.timeout=1m")
	server.Env = append(os.Environ(), "TMPDISK_WRITE_UNTIL_KILLED="+path)
	testkit.Must(t, server.Start())
	defer server.Wait()
	defer server.Process.Kill()
	unfinished := stopWhileItWrites(t, server.Process, path)

	NewFile(path, 0o600).Sweep()
	if _, err := os.Lstat(unfinished); err != nil {
		t.Errorf("got %v, want what a living server writes to stay", err)
	}
	server.Process.Kill()
	server.Wait()
	again := NewFile(path, 0o600)
	again.Sweep()
	write(t, again, "text")
	wantNames(t, filepath.Dir(path), "x")
	wantText(t, path, "text")
}

const cldStopped = 5 // of waitid(2)

// stopWhileItWrites returns the name of the file that the stopped server writes.
func stopWhileItWrites(t *testing.T, server *os.Process, path string) string {
	t.Helper()
	for {
		testkit.Must(t, server.Signal(unix.SIGSTOP))
		var state unix.Siginfo
		testkit.Must(t, unix.Waitid(unix.P_PID, server.Pid, &state, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil))
		if state.Code != cldStopped {
			t.Fatalf("got code %d, want the server stopped", state.Code)
		}
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".x.tmp.*"))
		testkit.Must(t, err)
		if len(names) == 1 && locked(t, names[0]) {
			return names[0]
		}
		testkit.Must(t, server.Signal(unix.SIGCONT))
	}
}

func locked(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.Open(path)
	testkit.Must(t, err)
	defer file.Close()
	return errors.Is(sys.Flock(int(file.Fd())), unix.EWOULDBLOCK)
}
