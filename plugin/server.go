// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"

	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk"
)

// AfterFork implements .after_fork.
func (p *plugin) AfterFork() error {
	p.server = tmpdisk.NewServer(p.config, host{})
	p.server.Start()
	return nil
}

// Cleanup implements .cleanup.
func (p *plugin) Cleanup() {
	p.server.Stop()
}

// PreConnect implements .preconnect.
func (p *plugin) PreConnect(readonly bool) error {
	p.server.PreConnect()
	return nil
}

// Open implements .open. Neither a client that hangs up nor a server that is
// told to end waits for a disk that takes its time to be made. One that does not
// is opened right here: another goroutine would take a quarter as long again.
func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	var (
		d   *tmpdisk.Disk
		err error
	)
	if p.server.Waits() {
		d, err = nbdkit.WithClient(p.server.Open)
	} else {
		d, err = p.server.Open(context.Background())
	}
	if err != nil {
		return nil, err
	}
	return &disk{Disk: d, server: p.server}, nil
}
