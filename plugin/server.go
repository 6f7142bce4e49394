// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"

	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk"
)

// AfterFork implements .after_fork.
func (p *plugin) AfterFork() error {
	if p.refuse != nil {
		return nil
	}
	p.server = tmpdisk.NewServer(p.config, host{})
	p.server.Start()
	return nil
}

// Cleanup implements .cleanup.
func (p *plugin) Cleanup() {
	if p.server != nil {
		p.server.Stop()
	}
}

// PreConnect implements .preconnect.
func (p *plugin) PreConnect(readonly bool) error {
	if p.server != nil {
		p.server.PreConnect()
	}
	return nil
}

// Open implements .open. The disk may take its time to be made: the client
// that hangs up and the server that is told to end must not wait for it.
func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	if p.refuse != nil {
		return nil, p.refuse
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var (
		d    *tmpdisk.Disk
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		d, err = p.server.Open(ctx)
	}()
	if gone := nbdkit.Wait(done); gone != nil {
		cancel(fmt.Errorf("the client has gone, or the server is shutting down: %w", context.Canceled))
		<-done
		if err == nil {
			p.server.Close(d)
			err = gone
		}
	}
	if err != nil {
		return nil, err
	}
	return &disk{Disk: d, server: p.server}, nil
}
