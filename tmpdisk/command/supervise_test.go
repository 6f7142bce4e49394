// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A process of its own has no threads yet that earlier tests needed.
func TestRunningCommandsHoldNoThreads(t *testing.T) {
	if os.Getenv("TMPDISK_TEST_THREADS") == "" {
		if fd, err := unix.PidfdOpen(os.Getpid(), 0); err != nil {
			t.Skip("needs pidfd: ", err)
		} else {
			unix.Close(fd)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "TMPDISK_TEST_THREADS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	const commands = 60
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range commands {
		started := fmt.Sprintf("%s/%d", dir, i)
		all.Add(1)
		go func() {
			defer all.Done()
			best.Run(ctx, Command{Script: ">" + started + "; sleep 1000"})
		}()
		waitForFile(t, started)
	}
	// Go has a few, and one for each CPU.
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) > commands/2 {
		t.Errorf("got %d threads (%v) with %d commands, want at most half as many", len(threads), err, commands)
	}
	cancel()
	all.Wait()
}

// Where there is no descriptor for it the wait is the same.
func TestExitedLeavesAZombie(t *testing.T) {
	for name, wait := range map[string]func(pid int){
		"pidfd":   waitZombie,
		"blocked": func(pid int) { exited(pid, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/bin/sh", "-c", "read x; exit 7")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if exited(cmd.Process.Pid, unix.WNOHANG) {
				t.Error("got exited before the end")
			}
			in.Close()
			wait(cmd.Process.Pid)
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
			if err != nil || !bytes.Contains(stat, []byte(") Z ")) {
				t.Errorf("got %s, %v, want a zombie", stat, err)
			}
			if cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
				t.Errorf("got %v, want exit code 7", cmd.ProcessState)
			}
		})
	}
}
