// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Each script leaves processes behind that are hard to find or to kill, makes
// $started when they are there, and goes on as told.
var leavers = append(groupLeavers, []struct{ name, script string }{
	{"own session", `setsid sh -c '>$started; exec sleep 1000' &`},
	{"own session, double fork", `(setsid -f sh -c '>$started; exec sleep 1000')`},
	{"first thread ended, own session", `TMPDISK_TEST_LEADERLESS=$started setsid -f $exe`},
	{"holds the pipe, own session", `setsid sleep 1000 </dev/null >/dev/null & >$started`},
	{"keeps forking, own session", strings.ReplaceAll(rolling, "sh $dir/roll 2000", "setsid sh $dir/roll 2000")},
}...)

// Ten lines of processes in each of which one is replaced by its child every few
// milliseconds.
const rolling = `cat >$dir/roll <<'END'
[ $1 -gt 0 ] || exit 0
sh $dir/roll $(($1 - 1)) &
END
for i in 1 2 3 4 5 6 7 8 9 10; do sh $dir/roll 2000 & done; >$started`

// groupLeavers leave them in the process group.
var groupLeavers = []struct{ name, script string }{
	{"background", `sleep 1000 & >$started`},
	{"double fork", `(sh -c '(sleep 1000 & >$started)' &)`},
	{"ignores signals", `sh -c 'trap "" HUP INT QUIT TERM; >$started; while :; do sleep 1; done' &`},
	{"stopped", `sh -c '>$started; kill -STOP $$; sleep 1000' &`},
	{"first thread ended", `TMPDISK_TEST_LEADERLESS=$started $exe &`},
	{"holds the pipe", `sleep 1000 </dev/null >/dev/null & >$started`},
	{"many", `i=0; while [ $i -lt 150 ]; do sleep 1000 & i=$((i + 1)); done; >$started`},
	{"keeps forking", rolling},
}

// leaversFor are what r promises to end.
func leaversFor(r *Runner) []struct{ name, script string } {
	if r.way == withGroup {
		return groupLeavers
	}
	return leavers
}

// A process whose first thread has ended looks like a zombie. Here that thread
// is this one.
func init() {
	started := os.Getenv("TMPDISK_TEST_LEADERLESS")
	if started == "" {
		return
	}
	go func() {
		for {
			// Not by number, which is another one in a PID namespace.
			if stat, _ := os.ReadFile("/proc/self/stat"); bytes.Contains(stat, []byte(") Z ")) {
				os.WriteFile(started, nil, 0o600)
				time.Sleep(1000 * time.Second)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	runtime.LockOSThread()
	unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// leaver returns a script, the directory that it uses, and a count of what of
// it is alive. The processes are known by a variable of their environment.
func leaver(t *testing.T, script string) (text, started string, alive func() []string) {
	dir := t.TempDir()
	mark := "TMPDISK_TEST_MARK=" + sys.RandomName()
	started = dir + "/started"
	exe, err := os.Executable()
	testkit.Must(t, err)
	text = fmt.Sprintf("export %s dir=%s started=%s exe=%s\n%s\n", mark, dir, started, exe, script)
	return text, started, func() []string {
		// By threads, because the first one may have ended.
		files, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/environ")
		if err != nil || len(files) == 0 {
			t.Fatal("no processes: ", err)
		}
		return slices.DeleteFunc(files, func(file string) bool {
			environ, _ := os.ReadFile(file)
			return !bytes.Contains(environ, []byte(mark))
		})
	}
}

// somethingAlive looks a few times: what keeps forking can be missed.
func somethingAlive(alive func() []string) bool {
	for range 50 {
		if len(alive()) > 0 {
			return true
		}
	}
	return false
}

// allGone waits until nothing is alive, an instant where there is a CPU to spare.
func allGone(t *testing.T, alive func() []string) {
	t.Helper()
	var left []string
	for range 2400 {
		if left = alive(); len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("got %d threads two minutes after the end, want none: %v", len(left), left[0])
}

const awaitStart = "while ! [ -e $started ]; do sleep 0.01; done\n"

func TestNothingOutlivesItsCommand(t *testing.T) {
	ends := []struct {
		name, script string
		cancel, ok   bool
	}{
		{"succeeds", awaitStart + "exit 0", false, true},
		{"fails", awaitStart + "exit 1", false, false},
		{"is cancelled", "sleep 1000", true, false},
	}
	eachWay(t, func(t *testing.T, r *Runner) {
		for _, l := range leaversFor(r) {
			for _, end := range ends {
				t.Run(l.name+"/"+end.name, func(t *testing.T) {
					script, started, alive := leaver(t, l.script+"\n"+end.script)
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					if end.cancel {
						go func() {
							waitForFile(t, started)
							if !somethingAlive(alive) {
								t.Error("nothing was started")
							}
							cancel()
						}()
					}
					err := r.Run(ctx, Command{Script: script})
					if (err == nil) != end.ok {
						t.Errorf("got %v, want success: %v", err, end.ok)
					}
					if r.way == withGroup {
						allGone(t, alive) // dead processes may take an instant to go
					} else if left := alive(); len(left) > 0 {
						t.Errorf("got %d threads after the end, want none: %v", len(left), left[0])
					}
				})
			}
		}
	})
}

// TestServerProcess is not a test: it is the server that the next one kills.
func TestServerProcess(t *testing.T) {
	script := os.Getenv("TMPDISK_TEST_SCRIPT")
	if script == "" {
		t.Skip("only runs as another test's child")
	}
	r := best
	if os.Getenv("TMPDISK_TEST_GROUP") != "" {
		r = grouped
	}
	// From a thread that ends, as nbdkit's do.
	t.Log(r.Run(context.Background(), Command{Script: script}))
}

func TestNothingOutlivesAKilledServer(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		for _, l := range leaversFor(r) {
			t.Run(l.name, func(t *testing.T) {
				script, started, alive := leaver(t, l.script+"\nsleep 1000")
				server := exec.Command(os.Args[0], "-test.run=^TestServerProcess$")
				server.Env = append(os.Environ(), "TMPDISK_TEST_SCRIPT="+script)
				if r == grouped {
					server.Env = append(server.Env, "TMPDISK_TEST_GROUP=1")
				}
				testkit.Must(t, server.Start())
				waitForFile(t, started)
				if !somethingAlive(alive) {
					t.Error("nothing was started")
				}
				server.Process.Kill()
				server.Wait()
				allGone(t, alive)
			})
		}
	})
}

// A server that dies between the fork and the gate leaves a supervisor that
// reads the end of the file.
func TestSupervisorEndsAtAClosedGate(t *testing.T) {
	for name, text := range map[string]string{"namespace": superviseText, "group": groupText} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			testkit.Must(t, err)
			defer r.Close()
			w.Close()
			setup, script, err := (&Command{Script: "exit 0"}).files()
			testkit.Must(t, err)
			defer setup.Close()
			defer script.Close()
			cmd := exec.Command("/bin/sh", "-c", text)
			cmd.ExtraFiles = []*os.File{r, setup, script}
			cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // what it kills is its own
			cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != 125 {
				t.Errorf("got exit code %d, want 125", got)
			}
		})
	}
}

// A command may replace itself with a set-user-ID program, or kill its parent:
// what it leaves does not depend on the parent death signal.
func TestGroupNeedsNoParentDeathSignal(t *testing.T) {
	for _, l := range groupLeavers {
		t.Run(l.name, func(t *testing.T) {
			text, started, alive := leaver(t, "kill -9 $PPID\n"+l.script+"\nsleep 1000")
			setup, script, err := (&Command{Script: text}).files()
			testkit.Must(t, err)
			defer setup.Close()
			defer script.Close()
			r, gate, err := os.Pipe()
			testkit.Must(t, err)
			defer r.Close()
			cmd := exec.Command("/bin/sh", "-c", groupText)
			cmd.ExtraFiles = []*os.File{r, setup, script}
			cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
			testkit.Must(t, cmd.Start())
			gate.WriteString("\n")
			waitForFile(t, started)
			cmd.Wait()
			if !somethingAlive(alive) {
				t.Error("nothing was started")
			}
			gate.Close() // as the server's end does
			allGone(t, alive)
		})
	}
}

// In a container the server may be process 1, which what a command leaves becomes
// a child of.
func TestProcess1TakesZombiesAway(t *testing.T) {
	if os.Getpid() != 1 {
		server := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		server.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
		out, err := server.CombinedOutput()
		if server.Process == nil {
			t.Skip("no namespace is permitted: ", err)
		}
		if err != nil {
			t.Errorf("got %v:\n%s", err, out)
		}
		return
	}
	// On a busy machine some may take long to die.
	for range 20 {
		testkit.Must(t, grouped.Run(context.Background(), Command{Script: "sleep 1000 & sleep 1000 &"}))
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			return
		}
		for err := error(nil); err == nil; _, err = unix.Wait4(-1, nil, 0, nil) {
		}
	}
	t.Error("got zombies each time, want none")
}

// What Run must survive, though it does not end the process: it leaves the group,
// and keeps the pipe.
func TestCommandDoesNotWaitForAnEscapedWriter(t *testing.T) {
	dir := t.TempDir()
	script := "cd " + dir + `; setsid -f sh -c 'echo $$ >pid.new; mv pid.new pid; exec sleep 1000'
while ! [ -e pid ]; do sleep 0.01; done; echo message >&2; exit 3`
	err := grouped.Run(context.Background(), Command{Script: script})
	if data, readErr := os.ReadFile(dir + "/pid"); readErr == nil {
		if pid, atoiErr := strconv.Atoi(string(bytes.TrimSpace(data))); atoiErr == nil {
			p, _ := os.FindProcess(pid)
			p.Kill()
		}
	}
	if err == nil || err.Error() != "command: exit code 3: message" {
		t.Errorf("got %v, want exit code 3: message", err)
	}
}
