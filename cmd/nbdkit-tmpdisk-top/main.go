// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command nbdkit-tmpdisk-top shows who has which disk: the clients and disks of all
// servers on this machine, from the status files that the servers write. It talks to
// no server.
//
// reading.go reads the files, rates.go compares two readings, column.go and grid.go
// make cells and columns of them, page.go what a terminal shows, and screen.go and
// plain.go put it there. Whatever comes from a file goes through clean before it is
// shown.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// version is set when make links the program.
var version = "unknown"

const (
	program    = "nbdkit-tmpdisk-top"
	defaultDir = "/run/nbdkit-tmpdisk"
)

const usage = `Usage: nbdkit-tmpdisk-top [OPTION]... [FILE|DIRECTORY]...

Shows the clients and disks of tmpdisk servers, from the files that their
parameter status-file= names. Of a DIRECTORY, all *.json; without arguments,
of ` + defaultDir + `.

  --once              print the table once, as plain text, and exit
  --json              print the files' contents as one JSON array, and exit
  --sort COLUMN       sort by this column (default: disk)
  --reverse           sort the other way round
  --interval SECONDS  time between two looks at the files (default: 1)
  --help              print this text and exit
  --version           print the version and exit

Keys: q quits, left and right choose the column to sort by, r reverses the
order, up, down, page up, page down, home and end scroll.

Columns: %s.
`

type options struct {
	once, json bool
	interval   time.Duration
	view       view
	paths      []string
}

// errDone says that the arguments asked for a text that has been printed.
var errDone = errors.New("done")

// parse understands the arguments.
func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.once, "once", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.BoolVar(&o.view.reverse, "reverse", false, "")
	sort := flags.String("sort", "disk", "")
	seconds := flags.Float64("interval", 1, "")
	about := flags.Bool("version", false, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, usage, columnNames())
		return o, errDone
	} else if err != nil {
		return o, err
	}
	if *about {
		fmt.Fprintln(stdout, program, version)
		return o, errDone
	}
	if !(*seconds >= 0.1 && *seconds <= 3600) {
		return o, fmt.Errorf("--interval: %v: give 0.1 to 3600 seconds", *seconds)
	}
	o.interval = time.Duration(*seconds * float64(time.Second))
	if o.view.sort = columnNamed(*sort); o.view.sort < 0 {
		return o, fmt.Errorf("--sort: %q is no column: give one of %s", *sort, columnNames())
	}
	if o.paths = flags.Args(); len(o.paths) == 0 {
		o.paths = []string{defaultDir}
	}
	return o, nil
}

// run is the program. It returns the exit status: 1 if something could not be read
// or shown, 2 if the arguments are wrong, 128 and its number after a signal.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if errors.Is(err, errDone) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s (see --help)\n", program, clean(err.Error()))
		return 2
	}
	if o.once || o.json {
		return printOnce(o, time.Now(), stdout, stderr)
	}
	err = interactive(o)
	var ended endedBy
	if errors.As(err, &ended) {
		return 128 + int(ended)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", program, clean(err.Error()))
		return 1
	}
	return 0
}

// isTerminal tells whether f is one.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
