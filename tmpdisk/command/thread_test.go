// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestNewSessionKeyring(t *testing.T) {
	session := func() int {
		id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
		if err != nil {
			t.Skip("needs keyrings: ", err)
		}
		return id
	}
	// Not unlocked: the thread ends with this test.
	runtime.LockOSThread()
	seen := map[int]bool{session(): true}
	for range 3 {
		if err := newSessionKeyring(); err != nil {
			t.Fatal(err)
		}
		if id := session(); seen[id] {
			t.Errorf("got keyring %d again, want a new one", id)
		} else {
			seen[id] = true
		}
	}
}

func TestKeyringError(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		fine bool
	}{
		{"none", nil, true},
		{"no keys in the kernel", unix.ENOSYS, true},
		{"a container's filter", unix.EPERM, true},
		{"quota", unix.EDQUOT, false},
		{"memory", unix.ENOMEM, false},
		{"security module", unix.EACCES, false},
	} {
		err := keyringError(test.err)
		if (err == nil) != test.fine || !test.fine && !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, want success: %v", test.name, err, test.fine)
		}
	}
}

// A child closes its copy of each file when it execs, and a filesystem in user space
// is asked about that.
func TestCommandDoesNotWaitForAnotherFile(t *testing.T) {
	r := NewRunner(testkit.Debug(t))
	testkit.Must(t, r.Prepare())
	dir, stop, goOn := testkit.HangingFUSE(t)
	f, err := os.Create(filepath.Join(dir, "disk"))
	testkit.Must(t, err)
	defer f.Close()
	stop()
	defer goOn()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background(), Command{Script: "exit 0"}) }()
	select {
	case err := <-ended:
		testkit.Must(t, err)
	case <-time.After(20 * time.Second):
		t.Error("the command still runs")
	}
}

// Go may look at its poller from each thread, after a garbage collection for example.
func TestThreadHasThePoller(t *testing.T) {
	var th thread
	th.start()
	r, w, err := os.Pipe()
	testkit.Must(t, err)
	defer r.Close()
	defer w.Close()
	for range 10 {
		testkit.Must(t, th.run(func([]int) { runtime.GC() }))
	}
}

// The process's first thread has the table that /proc/self/fd shows.
func TestThreadIsNotTheFirst(t *testing.T) {
	for range 20 {
		var th thread
		th.start()
		testkit.Must(t, th.run(func([]int) {
			if unix.Gettid() == unix.Getpid() {
				t.Error("got the process's first thread, want another one")
			}
		}))
	}
}

// Whoever is connected must notice when the server closes the connection, and a filesystem
// must be free to be unmounted.
func TestThreadKeepsNothingOpen(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	testkit.Must(t, err)
	defer unix.Close(pair[1])
	f, err := os.Open(testkit.FUSE(t)) // which is unmounted after the test
	testkit.Must(t, err)
	var th thread
	th.start()
	f.Close()
	unix.Close(pair[0])
	testkit.Must(t, unix.SetsockoptTimeval(pair[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}))
	if th.door < 0 {
		t.Skip("needs close_range (Linux 5.11)")
	}
	if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("got %d, %v, want the end", n, err)
	}
}
