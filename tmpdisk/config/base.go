// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// replaceInherited has what an export's file says of its disk replace what the command
// line says for all: a base all that would make one, these a base, and another type or a
// command what is for one program's command line.
func (c *Config) replaceInherited() {
	makes := c.own["command"] || c.own["type"] || c.own["label"] || c.own["mkfs-options"]
	if (c.own["base"] || c.own["command"] || c.own["type"]) && !c.own["mkfs-options"] {
		c.MkfsOptions = nil
		delete(c.given, "mkfs-options")
	}
	switch {
	case c.own["base"]:
		for _, name := range []string{"command", "type", "label"} {
			if !c.own[name] {
				delete(c.given, name)
			}
		}
		if !c.own["command"] {
			c.Command = ""
		}
		if !c.own["size"] {
			c.Size = 0
		}
	case makes:
		c.Base = ""
		delete(c.given, "base")
	}
	if c.Base == "" && c.Type == "" { // the base was of all
		c.Type = mkfs.Default
	}
}

// checkBase refuses what would be made instead of what the base has.
func (c *Config) checkBase() error {
	if c.Base == "" {
		return nil
	}
	if c.has("command") {
		return errors.New("each disk is what is in the image: leave out command=, or base=; a variable of the command needs another name")
	}
	for _, name := range []string{"type", "label"} {
		if c.has(name) {
			return fmt.Errorf("each disk is what is in the image: leave out %s=, or base=", name)
		}
	}
	c.Type, c.Label = "", ""
	return nil
}

// checkImage opens the base, as each client's disk will.
func (c *Config) checkImage() error {
	if c.Base == "" {
		return nil
	}
	image, err := disk.OpenReadOnly(c.Base, c.host.Debug)
	if err != nil {
		return &parameterError{"base", err}
	}
	defer image.Close()
	if image.Size() == 0 && c.Size == 0 {
		return &parameterError{"base", fmt.Errorf("%s: is empty: %w: give size= as well, or another image", c.Base, unix.EINVAL)}
	}
	if c.Size != 0 && c.Size < image.Size() {
		return &parameterError{"size", fmt.Errorf("%d bytes: less than the %d bytes of base=%s: give at least as much, or leave size= out",
			c.Size, image.Size(), c.Base)}
	}
	if c.Size != 0 {
		return nil // has been looked at
	}
	if err := c.checkSectors(image.Size()); err != nil {
		return &parameterError{"sector-size", err}
	}
	return nil
}
