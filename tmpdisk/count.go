// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"strconv"
)

// Ranges of the parameters that are counts. The upper ends are far above what
// a machine can use. They catch a size given as a count, and keep make-jobs
// well below the 10,000 threads at which the Go runtime aborts.
const (
	maxSpareDisks = 10000
	maxMakeJobs   = 1000
)

// parseCount reads the value of the parameter called name: a whole number from
// low to high, both included, in decimal digits alone. The error gives the
// range; the caller says which parameter it is about.
func parseCount(name, value string, low, high int) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || int(n) < low || int(n) > high {
		return 0, fmt.Errorf("%q: give a whole number from %d to %d, as in %s=%d", value, low, high, name, max(low, 4))
	}
	return int(n), nil
}

func (c *Config) parseSpareDisks(value string) (err error) {
	c.spareDisks, err = parseCount("spare-disks", value, 0, maxSpareDisks)
	return err
}

func (c *Config) parseMakeJobs(value string) (err error) {
	c.makeJobs, err = parseCount("make-jobs", value, 1, maxMakeJobs)
	return err
}
