// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import "libguestfs.org/nbdkit"

// Config implements .config.
func (p *plugin) Config(key, value string) error {
	return p.config.Set(key, value)
}

// ConfigComplete implements .config_complete.
func (p *plugin) ConfigComplete() error {
	if err := p.config.Complete(); err != nil || !nbdkit.Checking() {
		return err
	}
	return p.config.CheckFiles()
}

// ThreadModel implements .thread_model: nothing is shared between requests.
func (p *plugin) ThreadModel() (uint32, error) {
	return nbdkit.ThreadModelParallel, nil
}
