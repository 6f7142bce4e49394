// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
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

// Open implements .open. The disk may take its time to be made: neither a client
// that hangs up nor a server that is told to end waits for it.
func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	d, err := p.server.Open(tmpdisk.Client{Export: name, Owner: owner}, nbdkit.WithClient)
	if err != nil {
		return nil, err
	}
	return &disk{Disk: d, server: p.server}, nil
}
