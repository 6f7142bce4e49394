// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads the value of the parameter called name: a whole number
// of seconds, or Go's notation with units (90s, 5m, 1h30m, 500ms), not negative.
// The error gives the remedy; the caller says which parameter it is about.
func parseDuration(name, value string) (time.Duration, error) {
	bad := func(why string) error {
		return fmt.Errorf("%q: %s: give seconds, or units as in %s=90s or %s=1h30m", value, why, name, name)
	}
	text := strings.TrimSpace(value)
	if text == "" {
		return 0, bad("empty")
	}
	if text[0] == '-' {
		return 0, bad("negative")
	}
	var d time.Duration
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(maxDuration/time.Second) {
			return 0, bad("too long")
		}
		d = time.Duration(n) * time.Second
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return 0, bad("not a duration")
		}
		if d == 0 && strings.ContainsAny(text, "123456789") {
			return 0, bad("too short") // 0 may mean for ever
		}
	}
	if d > maxDuration {
		return 0, bad("too long")
	}
	return d, nil
}

// maxDuration keeps sums with the present time far from overflow.
const maxDuration = 100 * 365 * day

const day = 24 * time.Hour

// parseDays is parseDuration for long durations: it also reads 30d.
func parseDays(name, value string) (time.Duration, error) {
	days, ok := strings.CutSuffix(value, "d")
	if !ok || days == "" || strings.Trim(days, "0123456789") != "" {
		d, err := parseDuration(name, value)
		if err != nil {
			err = fmt.Errorf("%w, or whole days as in %s=30d", err, name)
		}
		return d, err
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil || n > int64(maxDuration/day) {
		return 0, fmt.Errorf("%q: too long: give at most %dd", value, int64(maxDuration/day))
	}
	return time.Duration(n) * day, nil
}

// into returns the parse function of the parameter called name: it stores in field what
// read makes of the value.
func into[T any](name string, read func(name, value string) (T, error), field func(*Config) *T) func(*Config, string) error {
	return func(c *Config, value string) (err error) {
		*field(c), err = read(name, value)
		return err
	}
}

// path returns the parse function of a path: it stores in field an absolute one. remedy
// says what to do about an empty value.
func path(field func(*Config) *string, remedy string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if value == "" {
			return errors.New("empty: " + remedy)
		}
		*field(c) = c.host.AbsolutePath(value)
		return nil
	}
}

// ownPath is path for the parameter called name, which an export may do without what the
// command line has for all: see withdraw.
func ownPath(name string, field func(*Config) *string, remedy string) func(*Config, string) error {
	parse := path(field, remedy)
	return func(c *Config, value string) error {
		if *field(c) = ""; value == "" {
			return c.withdraw(name, "empty: "+remedy)
		}
		return parse(c, value)
	}
}

// either reads a value that must be first or second, and returns whether it is second.
func either(first, second string) func(name, value string) (bool, error) {
	return func(_, value string) (bool, error) {
		if value != first && value != second {
			return false, fmt.Errorf("%q: give one of %s, %s", value, first, second)
		}
		return value == second, nil
	}
}

// count reads a whole number from low to high, both included, in decimal digits alone.
// The error gives the range; the caller says which parameter it is about.
func count(low, high int) func(name, value string) (int, error) {
	return func(name, value string) (int, error) {
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || int(n) < low || int(n) > high {
			return 0, fmt.Errorf("%q: give a whole number from %d to %d, as in %s=%d", value, low, high, name, max(low, 4))
		}
		return int(n), nil
	}
}

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
