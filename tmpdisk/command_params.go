// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"time"
)

// commandConfig is what the parameters command-timeout, command-user and
// command-uids say.
type commandConfig struct {
	timeout time.Duration // 0 is for ever
	// At most one of these is not nil, which checkCommandUsers sees to.
	user, uids *identities
}

// identities is nil if commands run as the server does.
func (c *commandConfig) identities() *identities {
	if c.user != nil {
		return c.user
	}
	return c.uids
}

func (c *Config) parseCommandTimeout(value string) (err error) {
	c.run.timeout, err = parseDuration("command-timeout", value)
	return err
}

func (c *Config) parseCommandUser(value string) (err error) {
	c.run.user, err = parseCommandUser(value)
	return err
}

func (c *Config) parseCommandUIDs(value string) (err error) {
	c.run.uids, err = parseCommandUIDs(value)
	return err
}

func (c *Config) checkCommandUsers() error {
	if c.run.user != nil && c.run.uids != nil {
		return errors.New("command-uids is given as well: leave one of them out")
	}
	return nil
}
