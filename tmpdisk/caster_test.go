// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// fakeMkfs puts a program in front of mkfs in PATH, which counts its runs in the
// file whose name is returned.
func fakeMkfs(t *testing.T, name, body string) (runs string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\necho >>\"$0.runs\"\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return filepath.Join(dir, name+".runs")
}

func castingServer(t *testing.T, pairs ...string) *Server {
	t.Helper()
	parent := privateTMPDIR(t)
	s := NewServer(configOf(t, pairs...), testkit.Host{TB: t}, "1")
	t.Cleanup(func() {
		s.Stop()
		testkit.WantEmpty(t, parent)
	})
	return s
}

func TestMkfsRunsOnce(t *testing.T) {
	runs := fakeMkfs(t, "mkfs.ext4", `exec /usr/sbin/mkfs.ext4 "$@"`)
	s := castingServer(t, "size", "20M")
	s.Start()
	seen := map[string]bool{}
	for range 20 {
		d, err := open(s)
		if err != nil {
			t.Fatal(err)
		}
		uuid := make([]byte, 16)
		if err := d.PRead(uuid, 1024+104); err != nil {
			t.Error(err)
		}
		if seen[string(uuid)] {
			t.Errorf("got UUID %x twice", uuid)
		}
		seen[string(uuid)] = true
		s.Close(d)
	}
	if got := testkit.Runs(t, runs); got != 1 {
		t.Errorf("got %d runs of mkfs, want 1", got)
	}
}

// A failure is told to the client that meets it, and the next one tries again.
func TestMkfsFailsForATime(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fakeMkfs(t, "mkswap", `[ ! -e `+broken+` ] || { echo "no such luck"; exit 3; }; exec /usr/sbin/mkswap "$@"`)
	s := castingServer(t, "size", "1M", "type", "swap")
	for range 2 {
		_, err := open(s)
		testkit.Contains(t, err, "exit code 3", "no such luck")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	d, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(d)
}

// What fails is in the log once, as at the start there is no client to be told,
// and not again for each client.
func TestMkfsFailureIsLoggedOnce(t *testing.T) {
	fakeMkfs(t, "mkswap", `echo "no such luck"; exit 3`)
	parent := privateTMPDIR(t)
	host := &loggingHost{testkit.Host{TB: t}, make(chan string, 10)}
	s := NewServer(configOf(t, "size", "1M", "type", "swap"), host, "1")
	s.Start()
	for range 3 {
		_, err := open(s)
		testkit.Contains(t, err, "exit code 3", "no such luck")
	}
	s.Stop()
	close(host.errors)
	n := 0
	for line := range host.errors {
		if strings.HasPrefix(line, "type swap: no disk can be made") {
			n++
			testkit.Contains(t, errors.New(line), "exit code 3", "no such luck")
		}
	}
	if n != 1 {
		t.Errorf("got %d lines about the type, want 1", n)
	}
	testkit.WantEmpty(t, parent)
}

// What stamping does not understand is made by mkfs, for each client.
func TestMkfsRunsForEachDiskThatIsNotUnderstood(t *testing.T) {
	runs := fakeMkfs(t, "mkswap", `for disk; do :; done; printf strange | dd of="$disk" conv=notrunc status=none`)
	s := castingServer(t, "size", "1M", "type", "swap")
	for range 3 {
		d, err := open(s)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 7)
		if err := d.PRead(got, 0); err != nil || string(got) != "strange" {
			t.Errorf("got %q, %v, want what mkfs wrote", got, err)
		}
		s.Close(d)
	}
	if got := testkit.Runs(t, runs); got < 3 {
		t.Errorf("got %d runs of mkfs, want one for each disk", got)
	}
}

// What is more than a mold may have is cloned from a file.
func TestCastOfALargeMold(t *testing.T) {
	fakeMkfs(t, "mkswap", `for disk; do :; done; head -c 20000000 /dev/urandom | dd of="$disk" bs=1M conv=notrunc status=none
		exec /usr/sbin/mkswap "$@"`)
	s := castingServer(t, "size", "32M", "type", "swap")
	var first string
	for range 3 {
		d, err := open(s)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1<<20)
		if err := d.PRead(got, 18<<20); err != nil {
			t.Error(err)
		}
		if first != "" && first != string(got) {
			t.Error("got another content than the disk before")
		}
		first = string(got)
		s.Close(d)
	}
	if strings.Trim(first, "\x00") == "" {
		t.Error("got zeroes, want what mkfs wrote")
	}
	if s.own.caster.ready.Load().singly {
		t.Error("mkfs runs for each disk")
	}
}

func TestCastOnAFullFilesystem(t *testing.T) {
	dir := testkit.Tmpfs(t, "300k")
	t.Setenv("TMPDIR", t.TempDir())
	s := NewServer(configOf(t, "size", "1G"), testkit.Host{TB: t}, "1")
	defer s.Stop()
	d, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(d)
	s.own.maker.parent = dir
	var full []*Disk
	for err == nil && len(full) < 20 {
		if d, err = open(s); err == nil {
			full = append(full, d)
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	for _, d := range full {
		s.Close(d)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Bfree != fs.Blocks {
		t.Errorf("got %d of %d blocks free, want all", fs.Bfree, fs.Blocks)
	}
	testkit.WantEmpty(t, dir)
}

func TestStopEndsMkfs(t *testing.T) {
	fakeMkfs(t, "mkswap", `sleep 1000`)
	s := castingServer(t, "size", "1M", "type", "swap")
	s.Start()
	opened := make(chan error)
	go func() {
		_, err := open(s)
		opened <- err
	}()
	s.Stop()
	if err := <-opened; err == nil {
		t.Error("got a disk, want an error")
	}
}
