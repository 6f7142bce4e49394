// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

const (
	// trialPatience is how long the start waits for trials. What takes longer is begun
	// again by the server, so it is more than mkfs takes for all but the largest disks.
	trialPatience = 15 * time.Second
	// After the first few kinds, trialsBegin is how long one trial after the other is begun,
	// so that a server of many exports does not start much later. The server tries the rest.
	first       = 4
	trialsBegin = 25 * time.Millisecond
)

// Try returns an error if there is one of disks that can never be made, for which the
// server must not start. It makes disks of the built-in types, and gives them to leave, for
// [maker.Tried]: the first of disks, then of others with the same options the smallest, the
// largest, and those between. What may pass (no space, a limit on processes, a
// program that hangs) is no error. It ends after a few seconds, whatever hangs. If this
// process gets a signal to end meanwhile, nothing is left behind.
//
// leave may be called from several goroutines. o's Config, Runner and Tried are not used.
func Try(o maker.Options, disks []config.Disk, leave func(key string, fd int) error) error {
	sys.CatchFileSizeSignal()
	kinds, err := kindsOf(o, disks)
	if err != nil || len(kinds) == 0 {
		return err
	}
	told, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	ctx, cancel := context.WithTimeout(told, trialPatience)
	defer cancel()
	results := make(chan result, len(kinds))
	go tryAll(ctx, kinds, leave, results)
	worst, hangs := result{}, time.After(trialPatience+time.Second)
	for wait := true; wait; {
		select {
		case r, more := <-results:
			if r.err != nil && (worst.err == nil || r.kind < worst.kind) {
				worst = r
			}
			wait = more
		case <-hangs:
			wait = false
		}
	}
	if told.Err() != nil {
		return errors.New("ended by a signal")
	}
	return worst.err
}

// A kind is a way to make disks, and where it is asked for.
type kind struct {
	maker      *maker.Maker
	opts       maker.Options
	key, group string // those of a group differ in their sizes
	size       int64
	file       string // of an export, or ""
}

// kindsOf are those of disks that are to be tried, in that order. The error is about what
// need not be tried.
func kindsOf(o maker.Options, disks []config.Disk) (kinds []kind, err error) {
	o.Runner = command.NewRunner(o.Debug)
	o.Runner.Guess()
	largest, seen := kind{}, map[string]bool{}
	least, most := map[string]int64{}, map[string]int64{}
	for _, d := range disks {
		c := d.Config
		o.Config = c
		k := kind{maker: maker.New(o), opts: o, size: c.Size, file: d.File}
		if largest.maker == nil || k.size > largest.size {
			largest = k
		}
		switch {
		case c.Command != "" || c.Base != "":
			continue
		case !c.Builtin(): // nobody knows what else its program does
			if err := maker.CheckProgram(c); err != nil {
				return nil, k.about(err)
			}
			continue
		}
		if k.key = maker.KindKey(c, c.Size); seen[k.key] {
			continue
		}
		seen[k.key] = true
		k.group = maker.KindKey(c, 1<<30)
		if first, ok := least[k.group]; !ok || k.size < first {
			least[k.group] = k.size
		}
		most[k.group] = max(most[k.group], k.size)
		kinds = append(kinds, k)
	}
	if largest.maker != nil {
		if err := largest.maker.Fits(); err != nil {
			return nil, largest.about(err)
		}
	}
	// What the smallest and the largest can be, those between can: they come last.
	order := func(k kind) int {
		switch {
		case k.file == "":
			return 0
		case k.size == least[k.group]:
			return 1
		case k.size == most[k.group]:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(kinds, func(a, b kind) int { return cmp.Or(order(a)-order(b), cmp.Compare(a.size, b.size)) })
	return kinds, nil
}

func (k kind) about(err error) error {
	if k.file != "" {
		err = fmt.Errorf("parameter export-dir: %s: %w", k.file, err)
	}
	return err
}

// A result is why disks of a kind, by its index, can never be made, or nil.
type result struct {
	kind int
	err  error
}

// tryAll tries one kind after the other, one on each CPU, until one can never be made.
func tryAll(ctx context.Context, kinds []kind, leave func(string, int) error, results chan<- result) {
	defer close(results)
	var all sync.WaitGroup
	defer all.Wait()
	var failed atomic.Bool
	turns, began := make(chan struct{}, runtime.NumCPU()), time.Now()
	for i, k := range kinds {
		turns <- struct{}{}
		if failed.Load() || ctx.Err() != nil || i >= first && time.Since(began) > trialsBegin {
			return
		}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-turns }()
			err := k.try(ctx, leave)
			if err != nil {
				failed.Store(true)
			}
			results <- result{i, err}
		}()
	}
}

func (k kind) try(ctx context.Context, leave func(string, int) error) error {
	m := k.maker
	d, err := m.Fresh(ctx)
	if err != nil && ctx.Err() == nil {
		sure := k.opts
		sure.Runner = command.NewRunner(k.opts.Debug)
		d, err = maker.New(sure).Fresh(ctx)
	}
	if err == nil {
		defer d.Close()
		err = m.Fills(d)
	}
	if never := m.Never(err); never != nil {
		return k.about(never)
	}
	if err == nil && d.OnClose == nil { // else its directory goes with this process
		err = leave(k.key, d.FD())
	}
	if err != nil {
		k.opts.Debug(fmt.Sprintf("type %s: tried: %v (ignored)", k.opts.Config.Type, err))
	}
	return nil
}
