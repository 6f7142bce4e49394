// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Bench measures tmpdisk against nbdkit's own tmpdisk plugin, written in C,
// and against the memory plugin, which is as fast as nbdkit gets. See README.md.
//
// In every scenario all servers are measured in turn, round after round, so
// that whatever else the machine does meets them alike. It ends what it
// started, on errors and Ctrl-C too, and leaves nothing behind but its results.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	// Servers end with the thread that starts them (--exit-with-parent), so
	// that thread must be the one that lasts.
	runtime.LockOSThread()
}

func main() {
	quick := flag.Bool("quick", false, "few rounds: minutes less, and figures that are only a hint")
	list := flag.Bool("list", false, "list the scenarios and do nothing")
	plugin := flag.String("plugin", "./tmpdisk.so", "the `plugin` to measure")
	nbdkit := flag.String("nbdkit", "nbdkit", "the `server` to measure in")
	out := flag.String("out", "", "`directory` for results.csv, rounds.csv and results.svg")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [options] [scenario ...]   (a name or its beginning; default all)")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, s := range scenarios {
			fmt.Printf("%-18s %s\n", s.name, s.what)
		}
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *plugin, *nbdkit, *out, *quick, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugin, nbdkit, out string, quick bool, names []string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if plugin, err = filepath.Abs(plugin); err != nil {
		return err
	}
	// Set outright, because Go gives children the limit it found: ten
	// thousand clients need two descriptors each on the server's side.
	limit := unix.Rlimit{Cur: 20000, Max: 20000}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		var now unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &now)
		now.Cur = now.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: now.Cur, Max: now.Max})
	}
	l, err := newLab(plugin, nbdkit)
	if err != nil {
		return err
	}
	defer func() {
		if err := l.close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}()
	rep := &report{}
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "bench: %s: %s\n", s.name, s.what)
		t := &trial{lab: l, report: rep, ctx: ctx, name: s.name, quick: quick}
		err := s.run(t)
		if stopErr := l.stop(); err == nil {
			err = stopErr
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// The others are still worth having.
			rep.failed = append(rep.failed, fmt.Sprintf("%s: %v", s.name, err))
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
		}
	}
	rep.table(os.Stdout)
	if out != "" {
		if err := rep.write(out); err != nil {
			return err
		}
	}
	if len(rep.failed) > 0 {
		return fmt.Errorf("not all scenarios ran:\n%s", strings.Join(rep.failed, "\n"))
	}
	return nil
}

func choose(names []string) (chosen []scenario, err error) {
	if len(names) == 0 {
		return scenarios, nil
	}
	for _, name := range names {
		named := func(s scenario) bool { return s.name == name }
		if !slices.ContainsFunc(scenarios, named) {
			named = func(s scenario) bool { return strings.HasPrefix(s.name, name) }
		}
		before := len(chosen)
		for _, s := range scenarios {
			if named(s) {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("scenario %q: unknown, see -list", name)
		}
	}
	return chosen, nil
}
