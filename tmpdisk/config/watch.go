// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// What one client may take, and where the server says who has what.

func (c *Config) parseClientRate(value string) error {
	n, err := c.host.ParseSize(value)
	if err == nil && n == 0 {
		err = errors.New("a client could do nothing")
	}
	if err != nil {
		return fmt.Errorf("%q: %w: give bytes a second, as in client-rate=50M", value, err)
	}
	c.Limits.Rate = uint64(n)
	return nil
}

// checkReports looks whether the files can be written.
func (c *Config) checkReports() error {
	if c.StatusFile != "" {
		if err := status.Check(c.StatusFile); err != nil {
			return &parameterError{"status-file", err}
		}
	}
	if c.MetricsFile == "" {
		return nil
	}
	err := status.CheckMetrics(c.MetricsFile)
	if c.MetricsFile == c.StatusFile {
		err = errors.New("the same file as status-file: give it another name")
	}
	if err != nil {
		return &parameterError{"metrics-file", err}
	}
	return nil
}
