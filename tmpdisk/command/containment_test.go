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
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Each script leaves processes behind that are hard to find or to kill, makes
// $started when they are there, and goes on as told.
var leavers = []struct{ name, script string }{
	{"background", `sleep 1000 & >$started`},
	{"double fork", `(sh -c '(sleep 1000 & >$started)' &)`},
	{"own session", `setsid sh -c '>$started; exec sleep 1000' &`},
	{"own session, double fork", `(setsid -f sh -c '>$started; exec sleep 1000')`},
	{"ignores signals", `sh -c 'trap "" HUP INT QUIT TERM; >$started; while :; do sleep 1; done' &`},
	{"stopped", `sh -c '>$started; kill -STOP $$; sleep 1000' &`},
	{"first thread ended", `TMPDISK_TEST_LEADERLESS=$started $exe &`},
	{"first thread ended, own session", `TMPDISK_TEST_LEADERLESS=$started setsid -f $exe`},
	{"holds the pipe", `setsid sleep 1000 </dev/null >/dev/null & >$started`},
	{"many", `i=0; while [ $i -lt 150 ]; do sleep 1000 & i=$((i + 1)); done; >$started`},
	// Ten lines of processes in each of which one is replaced by its child
	// every few milliseconds.
	{"keeps forking", `cat >$dir/roll <<'END'
[ $1 -gt 0 ] || exit 0
sh $dir/roll $(($1 - 1)) &
END
for i in 1 2 3 4 5 6 7 8 9 10; do setsid sh $dir/roll 2000 & done; >$started`},
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
			line, _ := os.ReadFile("/proc/self/stat")
			if st, err := sys.ParseStat(string(line)); err == nil && st.State == 'Z' {
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
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Sprintf("export %s dir=%s started=%s exe=%s\n%s\n", mark, dir, started, exe, script)
	return text, started, func() []string {
		var found []string
		pids, err := sys.PIDs()
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			st, err := sys.ReadStat(pid)
			if err != nil || st.Dead() || !bytes.Contains(sys.ReadEnviron(pid, st), []byte(mark)) {
				continue
			}
			name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
			found = append(found, fmt.Sprintf("%d %q", pid, name))
		}
		return found
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
	for range 600 {
		if left = alive(); len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("got %d processes 30 s after the end, want none: %v", len(left), left[0])
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
		for _, l := range leavers {
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
					if left := alive(); len(left) > 0 {
						t.Errorf("got %d processes after the end, want none: %v", len(left), left[0])
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
	if os.Getenv("TMPDISK_TEST_SCAN") != "" {
		r = scanning
	}
	// From a thread that ends, as nbdkit's do.
	t.Log(r.Run(context.Background(), Command{Script: script}))
}

func TestNothingOutlivesAKilledServer(t *testing.T) {
	eachWay(t, func(t *testing.T, r *Runner) {
		for _, l := range leavers {
			t.Run(l.name, func(t *testing.T) {
				script, started, alive := leaver(t, l.script+"\nsleep 1000")
				server := exec.Command(os.Args[0], "-test.run=^TestServerProcess$")
				server.Env = append(os.Environ(), "TMPDISK_TEST_SCRIPT="+script)
				if r == scanning {
					server.Env = append(server.Env, "TMPDISK_TEST_SCAN=1")
				}
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
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
	for name, text := range map[string]string{"namespace": superviseText, "scan": watchText} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			w.Close()
			setup, script, err := (&Command{Script: "exit 0"}).files()
			if err != nil {
				t.Fatal(err)
			}
			defer setup.Close()
			defer script.Close()
			cmd := exec.Command("/bin/sh", "-c", text)
			cmd.ExtraFiles = []*os.File{r, setup, script}
			cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != 125 {
				t.Errorf("got exit code %d, want 125", got)
			}
		})
	}
}

// watched starts a supervisor with its watcher as a server would, but for the
// parent death signal, and runs a script until started exists. The end of the
// server is what closing gate looks like to them.
func watched(t *testing.T, text, started string) (supervisor *exec.Cmd, gate *os.File) {
	setup, script, err := (&Command{Script: text}).files()
	if err != nil {
		t.Fatal(err)
	}
	defer setup.Close()
	defer script.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", watchText)
	cmd.ExtraFiles = []*os.File{r, setup, script}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, newMark())
	waitForFile(t, started)
	return cmd, w
}

// The end of the server closes the gate first and sends the supervisor its
// parent death signal later. Here that never comes.
func TestWatcherNeedsNoParentDeathSignal(t *testing.T) {
	for _, l := range leavers {
		t.Run(l.name, func(t *testing.T) {
			script, started, alive := leaver(t, l.script+"\nsleep 1000")
			supervisor, gate := watched(t, script, started)
			gate.Close()
			supervisor.Wait()
			allGone(t, alive)
		})
	}
}

// A command may have used up all the processes that its user may have. What is
// in the watcher's own group is killed then, too.
func TestWatcherCannotFork(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may fork as much as it likes")
	}
	script, started, alive := leaver(t, "sleep 1000 & >$started; sleep 1000")
	supervisor, gate := watched(t, script, started)
	pids, err := sys.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if st, err := sys.ReadStat(pid); err == nil && st.Session == supervisor.Process.Pid {
			if err := unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: 1}, nil); err != nil {
				t.Error(err)
			}
		}
	}
	gate.Close()
	supervisor.Wait()
	allGone(t, alive)
}

// What run must survive, though it cannot find the process: it leaves its
// session, its parent and its environment, and keeps the pipe.
func TestCommandDoesNotWaitForAnEscapedWriter(t *testing.T) {
	dir := t.TempDir()
	script := "cd " + dir + `; setsid -f env -i sh -c 'echo $$ >pid.new; mv pid.new pid; exec sleep 1000'
while ! [ -e pid ]; do sleep 0.01; done; echo message >&2; exit 3`
	err := scanning.Run(context.Background(), Command{Script: script})
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
