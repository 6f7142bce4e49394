// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import "libguestfs.org/nbdkit"

// Config implements .config.
func (p *plugin) Config(key, value string) error {
	return p.refuseLater(p.config.Set(key, value))
}

// ConfigComplete implements .config_complete.
func (p *plugin) ConfigComplete() error {
	return p.refuseLater(p.config.Complete())
}

// refuseLater keeps an error for the clients if it is too late to end nbdkit by
// it. What was right before the fork may be wrong after it, for another user
// (nbdkit -u). By then nobody sees the server end, and nbdkit --run would wait
// for it for ever.
func (p *plugin) refuseLater(err error) error {
	if err == nil || nbdkit.Checking() {
		return err
	}
	nbdkit.Error(err.Error())
	if p.refuse == nil {
		p.refuse = err
	}
	return nil
}

// ThreadModel implements .thread_model: nothing is shared between requests.
func (p *plugin) ThreadModel() (uint32, error) {
	return nbdkit.ThreadModelParallel, nil
}
