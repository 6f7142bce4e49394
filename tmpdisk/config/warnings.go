// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"time"
)

// What is less than this was most likely meant to have another unit.
const (
	leastMinFree = 1 << 20
	leastRate    = 4 << 10
	leastGrace   = time.Second
)

// Warnings are about values that may be given and that nobody means, one line each: what
// they come to, and what to write instead. Those of an export are without those that the
// command line has already.
func (c *Config) Warnings() (lines []string) {
	warn := func(name, format string, args ...any) {
		if c.own == nil || c.own[name] {
			lines = append(lines, "parameter "+name+": "+fmt.Sprintf(format, args...))
		}
	}
	if n := c.MinFree.Bytes; n > 0 && n < leastMinFree {
		warn("min-free", "this is %d bytes, which keeps nobody out: give a unit as in min-free=10G, or a part of the filesystem as in min-free=5%%", n)
	}
	if n := c.Limits.Rate; n > 0 && n < leastRate {
		warn("client-rate", "this is %d bytes a second, at which a block of 4096 bytes takes %v: give a unit as in client-rate=50M",
			n, time.Duration(4096*float64(time.Second)/float64(n)).Round(time.Second/10))
	}
	if d := c.Session.Grace; d > 0 && d < leastGrace {
		warn("session-grace", "this is %v, after which a client that has lost its connection has lost its disk: give a time as in session-grace=10m", d)
	}
	return lines
}
