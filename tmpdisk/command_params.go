// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// commandConfig is what the parameters command-timeout, command-user and
// command-uids say.
type commandConfig struct {
	timeout time.Duration // 0 is for ever
	// At most one of these is not nil, which checkCommandUsers sees to.
	user, uids *users.Pool
}

// users is nil if commands run as the server does.
func (c *commandConfig) users() *users.Pool {
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
	c.run.user, err = users.ParseUser(value)
	return err
}

func (c *Config) parseCommandUIDs(value string) (err error) {
	c.run.uids, err = users.ParseRange(value)
	return err
}

func (c *Config) checkCommandUsers() error {
	if c.run.user != nil && c.run.uids != nil {
		return errors.New("command-uids is given as well: leave one of them out")
	}
	return nil
}
