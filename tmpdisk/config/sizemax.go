// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

func (c *Config) parseSizeMax(value string) error {
	if c.SizeMax = 0; value == "" {
		return c.withdraw("size-max", "empty: give a size as in size-max=10G, or leave it out")
	}
	size, err := c.host.ParseSize(value)
	if err == nil && size == 0 {
		err = errors.New("no client could ask for anything")
	}
	if err != nil {
		return fmt.Errorf("%q: %w: give whole bytes, or a unit as in size-max=10G", value, err)
	}
	c.SizeMax = size
	return nil
}

func (c *Config) checkSizeMax() error {
	if c.SizeMax != 0 && c.HasDisk() && c.SizeMax < c.Size {
		return fmt.Errorf("%d bytes: less than the %d bytes of size=: give at least as much", c.SizeMax, c.Size)
	}
	return nil
}

// SizeOf is the size in bytes that a client names, as in 4G, with the units of [Host].ParseSize.
// That logs what it does not understand, however often clients send it.
func (c *Config) SizeOf(text string) (int64, error) {
	units := map[byte]int{'B': 0, 'S': 9, 'K': 10, 'M': 20, 'G': 30, 'T': 40, 'P': 50, 'E': 60}
	number, shift := text, 0
	if i := len(text) - 1; i > 0 {
		if n, ok := units[text[i]&^('a'-'A')]; ok { // in capitals, if it is a letter
			number, shift = text[:i], n
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > math.MaxInt64>>shift:
		n, shift = math.MaxInt64, 0
	case err != nil, n == 0:
		return 0, fmt.Errorf("%.100q is no size: ask for a name, a colon, and bytes or a unit as in 4G", text)
	}
	size := int64(n << shift)
	if size > c.SizeMax {
		return 0, fmt.Errorf("a disk of %d bytes: parameter size-max: at most %d", size, c.SizeMax)
	}
	if err := c.checkSectors(size); err != nil {
		return 0, &parameterError{"sector-size", err}
	}
	return size, nil
}

// Described is what a client that lists the exports is shown: the description, and up to
// which size it may ask for.
func (c *Config) Described() string {
	if c.SizeMax == 0 {
		return c.Description
	}
	upTo := "up to " + c.given["size-max"]
	if c.Description == "" {
		return upTo
	}
	if full := c.Description + " (" + upTo + ")"; len(full) <= maxDescription {
		return full
	}
	return c.Description
}
