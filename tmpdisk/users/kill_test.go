// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// inNamespace runs one of the tests here as the first process of a PID
// namespace: should kill(-1) ever reach too far, it reaches no further.
func inNamespace(t *testing.T) (inside bool) {
	t.Helper()
	testkit.NeedRoot(t)
	if os.Getenv("TMPDISK_TEST_INSIDE") == t.Name() {
		uid, err := strconv.Atoi(os.Getenv("TMPDISK_TEST_UID"))
		if err != nil {
			t.Fatal(err)
		}
		testUID = uid // its own number is 1 here
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDISK_TEST_INSIDE="+t.Name(), "TMPDISK_TEST_UID="+strconv.Itoa(testUID))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no namespace is permitted: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("got %v:\n%s", err, out)
	}
	return false
}

func startAs(t *testing.T, uid int, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestKillUIDKillsOnlyThatUser(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	victim, other, killer := testUID+10, testUID+11, testUID+12
	victims := []*exec.Cmd{
		startAs(t, victim, "sleep 1000"),
		startAs(t, victim, "trap '' HUP INT TERM; while :; do sleep 1; done"),
		startAs(t, victim, "setsid -f sleep 1000; sleep 1000"),
		startAs(t, victim, "roll() { (roll) & }; roll; sleep 1000"),
	}
	bystanders := []*exec.Cmd{
		startAs(t, other, "sleep 1000; :"),
		startAs(t, 0, "sleep 1000; :"),
		startAs(t, 65534, "sleep 1000; :"),
	}
	for {
		if alive, err := processesOf(victim); err != nil {
			t.Fatal(err)
		} else if len(alive) > 5 {
			break
		}
	}
	if err := killUID(victim, killer, 2*time.Minute); err != nil {
		t.Fatal(err) // with this process, the first, go the others
	}
	if alive, err := processesOf(victim); err != nil || len(alive) > 0 {
		t.Errorf("got %v, %v, want no process of the user", alive, err)
	}
	for i, cmd := range victims {
		cmd.Wait()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
			t.Errorf("victim %d: got %v, want killed", i, cmd.ProcessState)
		}
	}
	for i, cmd := range bystanders {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("bystander %d: got %v, want it alive", i, err)
		}
		var ws syscall.WaitStatus
		if pid, err := syscall.Wait4(cmd.Process.Pid, &ws, syscall.WNOHANG, nil); pid != 0 || err != nil {
			t.Errorf("bystander %d: got pid %d, status %v, %v, want it alive", i, pid, ws, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	// The rest of this process is still root, its main thread above all.
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(status), "\nUid:\t0\t0\t0\t0\n") {
		t.Errorf("got %v, %s, want user 0", err, status)
	}
}

func TestThrowAwayThreadIsNotTheMainThread(t *testing.T) {
	for range 200 {
		onThrowAwayThread(func() {
			if unix.Gettid() == unix.Getpid() {
				t.Error("got the main thread")
			}
		})
	}
}

func TestVictimsCannotSignalTheKiller(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	victim, killer := testUID+10, testUID+12
	tid, stop := make(chan int), make(chan struct{})
	go onThrowAwayThread(func() {
		if err := becomeKiller(victim, killer); err != nil {
			t.Error(err)
		}
		tid <- unix.Gettid()
		<-stop
	})
	id := <-tid
	defer close(stop)
	for _, pid := range []int{id, os.Getpid()} {
		cmd := startAs(t, victim, fmt.Sprintf("kill -0 %d", pid))
		if cmd.Wait(); cmd.ProcessState.Success() {
			t.Errorf("a victim may signal %d", pid)
		}
	}
	// What it cannot do to the killer it can do to its like.
	like := startAs(t, victim, "sleep 1000; :")
	if cmd := startAs(t, victim, fmt.Sprintf("kill -9 %d", like.Process.Pid)); cmd.Wait() != nil {
		t.Errorf("got %v, want success", cmd.ProcessState)
	}
	like.Wait()
}

func TestBecomeKillerRefuses(t *testing.T) {
	for _, ids := range [][2]int{{0, 5}, {5, 0}, {5, 5}, {-1, 5}, {5, -1}} {
		onThrowAwayThread(func() {
			if err := becomeKiller(ids[0], ids[1]); err == nil {
				t.Errorf("user %d by %d: got success", ids[0], ids[1])
			}
		})
	}
}

func TestKillerIsNobodyElse(t *testing.T) {
	high := highestUID()
	pool := newPool(&User{UID: high}, &User{UID: high - 1})
	got := pool.killerUID()
	if got <= 0 || got >= high-1 {
		t.Errorf("got %d, want one below %d", got, high-1)
	}
	if alive, err := processesOf(got); err != nil || len(alive) > 0 {
		t.Errorf("user %d: got processes %v, %v, want none", got, alive, err)
	}
}

func TestLivesAs(t *testing.T) {
	const head, tail = "Name:\tUid: 7\\nUid:\t7\t7\nState:\tS (sleeping)\n", "Threads:\t1\n"
	tests := []struct {
		name, status string
		want         bool
	}{
		{"all", head + "Uid:\t7\t7\t7\t7\n" + tail, true},
		{"real", head + "Uid:\t7\t0\t0\t0\n" + tail, true},
		{"effective", head + "Uid:\t0\t7\t0\t0\n" + tail, true},
		{"saved", head + "Uid:\t0\t0\t7\t0\n" + tail, true},
		{"filesystem", head + "Uid:\t0\t0\t0\t7\n" + tail, false},
		{"longer", head + "Uid:\t77\t77\t77\t77\n" + tail, false},
		{"another", head + "Uid:\t0\t0\t0\t0\n" + tail, false},
		{"zombie", "Name:\tx\nState:\tZ (zombie)\nUid:\t7\t7\t7\t7\nThreads:\t1\n", false},
		{"zombie without threads", "Name:\tx\nState:\tZ (zombie)\nUid:\t7\t7\t7\t7\nThreads:\t0\n", false},
		{"first of its threads a zombie", "Name:\tx\nState:\tZ (zombie)\nUid:\t7\t7\t7\t7\nThreads:\t12\n", true},
		{"dead", "Name:\tx\nState:\tX (dead)\nUid:\t7\t7\t7\t7\nThreads:\t1\n", false},
		{"empty", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := livesAs(7, test.status); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
