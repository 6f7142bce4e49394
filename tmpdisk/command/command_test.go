// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// Like a process, this one has few Runners: the best that there is here, and
// the one that needs no namespace.
var (
	best    = NewRunner(func(string) {})
	grouped = runnerWith(withGroup)
)

func runnerWith(way *containment) *Runner {
	r := NewRunner(func(string) {})
	r.once.Do(func() { r.way = way })
	return r
}

// eachWay runs f with the best containment there is here and with the one
// that needs no namespace.
func eachWay(t *testing.T, f func(t *testing.T, r *Runner)) {
	runners := []*Runner{grouped}
	best.Prepare()
	if best.way != withGroup {
		runners = append(runners, best)
	}
	for _, r := range runners {
		t.Run(r.way.name, func(t *testing.T) { f(t, r) })
	}
}

func TestCommandResult(t *testing.T) {
	long := strings.Repeat("# a comment that makes it long\n", 10000)
	tests := []struct {
		name, script string
		want         string // a regular expression; "" is success
	}{
		{"success", "exit 0", ""},
		{"end of script", ":", ""},
		{"empty", "", ""},
		{"messages of a success", "echo hello >&2", ""},
		{"exit code", "exit 3", `^command: exit code 3$`},
		{"exit code of last", "false", `^command: exit code 1$`},
		{"message", "echo oops >&2; exit 4", `^command: exit code 4: oops$`},
		{"one newline is cut", "printf 'a\\n\\n' >&2; exit 4", `^command: exit code 4: a\n$`},
		{"killed", "kill -9 $$", `^command: exit code 137, which stands for killed by signal 9 \(killed\)`},
		{"terminated", "kill $$", `^command: exit code 143, which stands for killed by signal 15`},
		{"not a signal", "exit 255", `^command: exit code 255$`},
		{"quotes and newlines", "a='x\"\ny'\nb=\"$a\"\necho \"$b\" >&2; exit 1", `^command: exit code 1: x"\ny$`},
		{"dollar and backslash", `printf '%s' '\$x' >&2; exit 1`, `^command: exit code 1: \\\$x$`},
		{"longer than an argument", long + "echo reached >&2; exit 5", `^command: exit code 5: reached$`},
		{"line number", "\n\nno_such_program_here", `\b3: no_such_program_here|line 3: no_such_program_here`},
		{"line number of first line", "no_such_program_here", `\b1: no_such_program_here|line 1: no_such_program_here`},
		{"syntax error", "if true", `^command: exit code 2: `},
		{"set -e", "set -e\nfalse\nexit 0", `^command: exit code 1$`},
		{"input is empty", "read x; exit 6", `exit code 6$`},
		{"output is dropped", "echo gone; echo here >&2; exit 1", `: here$`},
		{"escape sequences", `printf 'a\033[31mb\rc\000d\te' >&2; exit 1`, "^command: exit code 1: a\uFFFD\\[31mb\uFFFDc\uFFFDd\te$"},
		{"not UTF-8", `printf 'a\377\376b' >&2; exit 1`, "^command: exit code 1: a\uFFFDb$"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := best.Run(context.Background(), Command{Script: test.script})
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v, want success", err)
				}
				return
			}
			if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// /bin/sh is another one elsewhere.
func TestLineNumbersInEachShell(t *testing.T) {
	for _, sh := range [][]string{{"dash"}, {"bash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		t.Run(strings.Join(sh, " "), func(t *testing.T) {
			path, err := exec.LookPath(sh[0])
			if err != nil {
				t.Skip("needs ", sh[0])
			}
			c := Command{Setup: "a='\n\n'\nb=2\n", Script: "no_such_$b\n\nno_such_3"}
			setup, script, err := c.files()
			if err != nil {
				t.Fatal(err)
			}
			defer setup.Close()
			defer script.Close()
			cmd := exec.Command(path, append(sh[1:], "-c", ". /proc/self/fd/4; . /proc/self/fd/5", "command")...)
			cmd.ExtraFiles = []*os.File{nil, setup, script}
			cmd.Env = []string{"PATH=/usr/bin:/bin"} // dash calls differently what it may not look for
			out, _ := cmd.CombinedOutput()
			got := handedOver.Replace(string(out))
			for _, want := range []string{`\b1: no_such_2: not found|line 1: no_such_2`, `\b3: no_such_3: not found|line 3: no_such_3`} {
				if !regexp.MustCompile(want).MatchString(got) || strings.Contains(got, "/dev/fd") {
					t.Errorf("got %q, want %s", got, want)
				}
			}
		})
	}
}

func TestCommandKeepsEndOfMessages(t *testing.T) {
	// Characters of two bytes, so that the cut may come within one.
	script := `i=0; while [ $i -lt 2000 ]; do echo "äöüß $i"; i=$((i + 1)); done >&2; printf last >&2; exit 1`
	err := best.Run(context.Background(), Command{Script: script})
	if err == nil {
		t.Fatal("got success, want exit code 1")
	}
	got := err.Error()
	if !strings.HasPrefix(got, "command: exit code 1: ...") || !strings.HasSuffix(got, "äöüß 1999\nlast") {
		t.Errorf("got %.60q to %.30q, want the end", got, got[len(got)-30:])
	}
	if n := len(got); n < tailSize-100 || n > tailSize+100 {
		t.Errorf("got %d bytes, want about %d", n, tailSize)
	}
	if !utf8.ValidString(got) || strings.ContainsRune(got, utf8.RuneError) {
		t.Errorf("got a broken character: %.40q", got)
	}
}

func TestCommandTimeout(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		err := r.Run(context.Background(), Command{Script: "echo started >&2; sleep 1000", Timeout: 300 * time.Millisecond})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		const want = "command: timed out after 300ms, which command-timeout allows: context deadline exceeded: started"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestCommandCancelled(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		marker := t.TempDir() + "/started"
		ctx, cancel := context.WithCancelCause(context.Background())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, Command{Script: ">" + marker + "; sleep 1000"}) }()
		waitForFile(t, marker)
		cancel(errors.New("nobody waits for it"))
		err := <-done
		const want = "command: nobody waits for it: context canceled"
		if !errors.Is(err, context.Canceled) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestCommandCancelledBefore(t *testing.T) {
	marker := t.TempDir() + "/started"
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := best.Run(ctx, Command{Script: ">" + marker}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it ran")
	}
}

func TestCommandDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := best.Run(context.Background(), Command{Script: "> here", Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/here"); err != nil {
		t.Errorf("got %v, want a file in %s", err, dir)
	}
	err := best.Run(context.Background(), Command{Dir: dir + "/missing"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir+"/missing") {
		t.Errorf("got %v, want an error that names the directory", err)
	}
}

// Standard input and output are the client's socket under nbdkit -s.
func TestCommandInheritsNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		script := `ls -l /proc/self/fd >&2; grep -E '^(SigBlk|SigIgn):' /proc/self/status >&2; exit 1`
		err := r.Run(context.Background(), Command{Script: script})
		if err == nil {
			t.Fatal("got success, want exit code 1")
		}
		links := regexp.MustCompile(`(?m) (\d+) -> (.*)$`).FindAllStringSubmatch(err.Error(), -1)
		got := map[string]string{}
		for _, l := range links {
			if !strings.HasPrefix(l[2], "/proc/") { // what ls itself reads
				got[l[1]] = l[2]
			}
		}
		if len(got) != 3 || got["0"] != "/dev/null" || got["1"] != got["2"] || !strings.HasPrefix(got["2"], "pipe:") {
			t.Errorf("got descriptors %v, want 0 on /dev/null, 1 and 2 on one pipe", got)
		}
		for _, want := range []string{`SigBlk:\s0{16}`, `SigIgn:\s[0-9a-f]{12}[0-9a-e][0-9a-f]{3}|SigIgn:\s0{16}`} {
			if !regexp.MustCompile(want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	})
}

func TestCommandDefaultSIGPIPE(t *testing.T) {
	// With SIGPIPE ignored, as nbdkit has it, yes would complain instead.
	err := best.Run(context.Background(), Command{Script: "{ yes; echo $? >&2; } | head -n 1; exit 1"})
	if err == nil || !strings.HasSuffix(err.Error(), ": 141") {
		t.Errorf("got %v, want 141, the code for SIGPIPE", err)
	}
}

func TestCommandsHaveNumbersOfTheirOwn(t *testing.T) {
	f, err := os.OpenFile("/proc/sys/kernel/ns_last_pid", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("the kernel does not let process numbers be chosen here")
	}
	f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	done := make(chan error, 2)
	for _, name := range []string{"/a", "/b"} {
		script := "echo $$ >" + dir + name + ".new; mv " + dir + name + ".new " + dir + name + "; sleep 1000"
		go func() { done <- best.Run(ctx, Command{Script: script}) }()
	}
	waitForFile(t, dir+"/a")
	waitForFile(t, dir+"/b")
	a, errA := os.ReadFile(dir + "/a")
	b, errB := os.ReadFile(dir + "/b")
	cancel()
	<-done
	<-done
	if errA != nil || errB != nil || string(a) == string(b) {
		t.Errorf("got $$ %q and %q (%v, %v), want two numbers", a, b, errA, errB)
	}
}

func TestStartError(t *testing.T) {
	tests := []struct {
		name string
		err  error
		as   *users.User
		want string
	}{
		{"processes", unix.EAGAIN, nil, "ulimit -u"},
		{"processes of a unit", unix.EAGAIN, nil, "TasksMax="},
		{"namespaces", unix.ENOSPC, nil, "user.max_pid_namespaces"},
		{"directory", unix.EACCES, &users.User{UID: 7}, "user 7"},
		{"no shell", unix.ENOENT, nil, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := (&Command{As: test.as}).startError(test.err)
			if !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s in it", err, test.want)
			}
		})
	}
}

func TestWarning(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		if got := r.Warning(); strings.Contains(got, "process group") != (r.way == withGroup) {
			t.Errorf("got %q", got)
		}
	})
	if got := NewRunner(nil).Warning(); got != "" {
		t.Errorf("got %q where no command can run, want nothing", got)
	}
}

// BenchmarkCommand against BenchmarkShell is what containment costs.
func BenchmarkCommand(b *testing.B) {
	best.Prepare()
	for _, r := range []*Runner{best, grouped} {
		b.Run(r.way.name, func(b *testing.B) {
			for range b.N {
				if err := r.Run(context.Background(), Command{Script: "exit 0"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkShell(b *testing.B) {
	for range b.N {
		if err := exec.Command("/bin/sh", "-c", "exit 0").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// waitForFile waits until another process has made path, for two minutes.
func waitForFile(t testing.TB, path string) {
	t.Helper()
	for range 12000 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not there after two minutes", path)
}

func TestCommandSaid(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"nothing", "echo out", ""},
		{"success", "echo one >&2; echo two >&2", "one\ntwo"},
		{"failure", "echo in the error >&2; exit 1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			best.Run(context.Background(), Command{Script: test.script, Said: func(text string) { got += text }})
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
