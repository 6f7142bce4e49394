// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

func TestMakeWhatTheCommandLeaves(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	testkit.Must(t, os.WriteFile(image, []byte("content"), 0o600))
	cases := []struct {
		name, size, command string
		wantSize            int64
		wantStart           string
		needs               string
	}{
		{"nothing changed", "1M", ":", 1 << 20, "\x00\x00", ""},
		{"truncate again", "1M", `truncate -s $size "$disk"`, 1 << 20, "\x00\x00", ""},
		{"smaller", "1M", `truncate -s 512 "$disk"`, 512, "\x00\x00", ""},
		{"larger", "1M", `truncate -s 3M "$disk"`, 3 << 20, "\x00\x00", ""},
		{"size of its own", "0", `printf abc >"$disk"`, 3, "abc", ""},
		{"cp", "0", `cp --sparse=always "$image" "$disk"`, 7, "content", ""},
		{"moved over it", "1M", `cp "$image" "$disk.new"; mv "$disk.new" "$disk"`, 7, "content", ""},
		{"removed and made", "1M", `rm "$disk"; printf abcd >"$disk"`, 4, "abcd", ""},
		{"a link to a file", "1M", `ln -sf "$image" "$disk"`, 7, "content", ""},
		{"a hard link", "1M", `cp "$image" "$disk.2"; ln -f "$disk.2" "$disk"`, 7, "content", ""},
		{"more files beside it", "1M", `mkdir -p "${disk%/*}/a/b"; echo x >"${disk%/*}/a/b/c"`, 1 << 20, "\x00", ""},
		{"qemu-img", "1M", `qemu-img create -q -f raw "$disk" 2M`, 2 << 20, "\x00", "qemu-img"},
		{"empty", "0", ":", 0, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil {
				t.Skip("needs ", c.needs)
			}
			d := mustMakeDisk(t, "size", c.size, "image", image, "command", c.command)
			if got := d.Size(); got != c.wantSize {
				t.Errorf("size: got %d, want %d", got, c.wantSize)
			}
			buf := make([]byte, len(c.wantStart))
			if err := d.PRead(buf, 0); err != nil || string(buf) != c.wantStart {
				t.Errorf("start: got %q (%v), want %q", buf, err, c.wantStart)
			}
			if d.ReadOnly() {
				t.Error("got a read-only disk, want a writable one")
			}
		})
	}
}

func TestMakeFails(t *testing.T) {
	cases := []struct {
		name, command string
		wants         []string
		is            error
	}{
		{"exit code and message", "echo no tape >&2; exit 3", []string{"exit code 3", "no tape"}, nil},
		{"killed", "kill -9 $$", []string{"signal 9"}, nil},
		{"a syntax error", "if", []string{"exit code 2"}, nil},
		{"no disk", `rm "$disk"`, []string{"open:", "/disk: the command left no disk"}, unix.ENOENT},
		{"a directory", `rm "$disk"; mkdir "$disk"`, []string{"left a directory"}, unix.EISDIR},
		{"a FIFO", `rm "$disk"; mkfifo "$disk"`, []string{"left a FIFO"}, unix.EINVAL},
		{"a character device", `ln -sf /dev/zero "$disk"`, []string{"left a character device"}, unix.EINVAL},
		{"a dangling link", `ln -sf nowhere "$disk"`, []string{"left no disk"}, unix.ENOENT},
		{"a link to itself", `ln -sf disk "$disk"`, []string{"too many levels"}, unix.ELOOP},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := makeDisk(t, "size", "1M", "command", c.command) // looks for what is left
			testkit.Contains(t, err, c.wants...)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want it to be %v", err, c.is)
			}
		})
	}
}

// The command may end by failing after the disk was made.
func TestMakeFailureIsNotHidden(t *testing.T) {
	_, err := makeDisk(t, "size", "1M", "command", "false\nfalse")
	testkit.Contains(t, err, "exit code 1")
}

func TestMakeUnderAnyTMPDIR(t *testing.T) {
	for _, name := range []string{"a b", "it's", `say "x"`, "new\nline", "-rf", "größe", "$(id)", "a\\b", "not\xffutf8", "*"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			testkit.Must(t, os.Mkdir(dir, 0o700))
			d, err := makerIn(t, dir, "size", "1M", "command", `printf x >"$disk"`).Fresh(context.Background())
			testkit.Must(t, err)
			defer closeDisk(t, d)
			if got := d.Size(); got != 1 {
				t.Errorf("got size %d, want 1", got)
			}
			if left := testkit.Names(t, dir); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestMakeWithoutTMPDIR(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := makerIn(t, missing, "size", "1M").Fresh(context.Background())
	testkit.Contains(t, err, missing, "no such file or directory")
}

func TestMakeSizeBeyondTheFilesystem(t *testing.T) {
	// 8 EiB less one byte is an off_t, but ext4, xfs and btrfs have less or,
	// at most, just that.
	_, err := makeDisk(t, "size", "9223372036854775807", "command", "exit 9")
	if err == nil || strings.Contains(err.Error(), "exit code 9") {
		t.Skip("TMPDIR's filesystem takes such a file")
	}
	testkit.Contains(t, err, "parameter size: 9223372036854775807 bytes")
	if !errors.Is(err, unix.EFBIG) {
		t.Errorf("got %v, want EFBIG", err)
	}
	if strings.Contains(err.Error(), "nbdkit-tmpdisk-") {
		t.Errorf("got %q, want nothing about a directory that is gone", err)
	}
}

func TestMakeCancelled(t *testing.T) {
	parent := t.TempDir()
	m := makerIn(t, parent, "size", "1M", "command", "sleep 1000")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Fresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if left := testkit.Names(t, parent); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestMadeDisksAreApart(t *testing.T) {
	a := mustMakeDisk(t, "size", "1M", "command", ":")
	b := mustMakeDisk(t, "size", "1M", "command", ":")
	testkit.Must(t, a.PWrite([]byte("mine"), 0))
	buf := make([]byte, 4)
	if err := b.PRead(buf, 0); err != nil || string(buf) != "\x00\x00\x00\x00" {
		t.Errorf("got %q (%v), want zeroes", buf, err)
	}
}

// No command of another client may get at the disk.
func TestMadeDiskIsClosedOnExec(t *testing.T) {
	d := mustMakeDisk(t, "size", "1M", "command", ":")
	flags, err := unix.FcntlInt(uintptr(d.FD()), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("got flags %#x (%v), want FD_CLOEXEC", flags, err)
	}
}

func TestLinesOfACommandCountFromItsFirst(t *testing.T) {
	for _, c := range []struct{ name, command, want string }{
		{"first", "no_such_program", "1: no_such_program"},
		{"third", "\n\nno_such_program\n", "3: no_such_program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := makeDisk(t, "size", "1M", "v", "two\nlines", "V", "x", "command", c.command)
			testkit.Contains(t, err, c.want)
			if strings.Contains(err.Error(), "/dev/fd") {
				t.Errorf("got %q, want nothing about how the text was handed over", err)
			}
		})
	}
}

// A shell exports what it assigns to a name of its environment.
func TestVariablesAreNotExported(t *testing.T) {
	for _, name := range []string{"size", "disk", "label", "os", "TZ"} {
		t.Setenv(name, "outside")
	}
	_, err := makeDisk(t, "size", "1M", "label", "inside", "os", "inside", "TZ", "inside", "command",
		`echo "$label $os $TZ" >&2; env | grep -E "^(size|disk|label|os|TZ)=" >&2; exit 1`)
	if want := "command: exit code 1: inside inside inside"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The command line's variables are for the commands of other exports.
func TestMkfsReadsNoVariables(t *testing.T) {
	m := makerIn(t, t.TempDir(), "size", "1M", "command", ":", "PATH", "/nowhere", "IFS", "k", "OPTIND", "x")
	var err error
	m.opts.Config, err = m.opts.Config.Export([]export.Setting{{Key: "command", Line: 1}})
	testkit.Must(t, err)
	d, err := m.Fresh(context.Background())
	testkit.Must(t, err)
	closeDisk(t, d)
}

// A command that has taken its time is not tried again with other options.
func TestMkfsTimesOutOnce(t *testing.T) {
	dir := t.TempDir()
	slow := "#!/bin/sh\necho >>\"$0.runs\"\nsleep 1000\n"
	testkit.Must(t, os.WriteFile(dir+"/mkfs.ext4", []byte(slow), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	_, err := makeDisk(t, "size", "1M", "command-timeout", "1s")
	testkit.Contains(t, err, "timed out after 1s, which command-timeout allows")
	if got := testkit.Runs(t, dir+"/mkfs.ext4.runs"); got != 1 {
		t.Errorf("mkfs ran %d times, want 1", got)
	}
}

// What stands in for mkfs leaves no process either.
func TestNothingOutlivesMkfs(t *testing.T) {
	how := ""
	command.NewRunner(func(line string) { how += line + "\n" }).Prepare()
	if !strings.Contains(how, "contained by: PID namespace\n") && !strings.Contains(how, "contained by: user and PID namespace") {
		t.Skip("needs namespaces: " + how)
	}
	dir := t.TempDir()
	wrapper := "#!/bin/sh\nsetsid sleep 1000 &\nsleep 1000 &\nls -l /proc/self/ns/pid >\"$0.ns\"\n"
	testkit.Must(t, os.WriteFile(dir+"/mkfs.ext4", []byte(wrapper), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	mustMakeDisk(t, "size", "1M")
	inside, err := os.ReadFile(dir + "/mkfs.ext4.ns")
	testkit.Must(t, err)
	// The kernel ends all of a namespace with its first process.
	ours, err := os.Readlink("/proc/self/ns/pid")
	testkit.Must(t, err)
	if strings.Contains(string(inside), ours) {
		t.Errorf("mkfs ran in this process's namespace: %s", inside)
	}
}
