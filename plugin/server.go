// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk"
)

// AfterFork implements .after_fork.
func (p *plugin) AfterFork() error {
	p.server = tmpdisk.NewServer(p.config, host{}, version)
	p.server.Adopt(nbdkit.Left())
	p.server.Start()
	return nil
}

// Cleanup implements .cleanup.
func (p *plugin) Cleanup() {
	p.server.Stop()
}

// PreConnect implements .preconnect.
func (p *plugin) PreConnect(readonly bool) error {
	return p.server.PreConnect()
}

// ListExports implements .list_exports.
func (p *plugin) ListExports(readonly, isTLS bool, exports *nbdkit.Exports) error {
	list, ok := p.server.Exports()
	if !ok {
		return exports.UseDefault()
	}
	for _, e := range list {
		if err := exports.Add(e.Name, e.Description); err != nil {
			return err
		}
	}
	return nil
}

// Open implements .open. Making the disk may take long: neither a client that hangs
// up nor a server that is told to end waits for it.
func (p *plugin) Open(readonly bool) (nbdkit.ConnectionInterface, error) {
	name, err := nbdkit.ExportName()
	if err != nil {
		return nil, err
	}
	d := &disk{server: p.server}
	client := tmpdisk.Client{Export: name, Peer: peer, Direct: &d.counts, Sleep: nbdkit.Nanosleep}
	if d.Connection, err = p.server.Open(client, nbdkit.WithClient); err != nil {
		return nil, err
	}
	return d, nil
}
