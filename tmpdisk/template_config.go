// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// templateConfig is what the template parameters say. It is part of Config.
type templateConfig struct {
	templateDir      string        // absolute; "" uses no templates
	templateKeep     time.Duration // 0 is for ever
	templateSameUUID bool
	// onlyWithTemplates is the last parameter that makes no sense without
	// template-dir; "" if none was given.
	onlyWithTemplates string
}

const (
	day                 = 24 * time.Hour
	defaultTemplateKeep = 30 * day
)

func (c *Config) parseTemplateDir(value string) error {
	if value == "" {
		return errors.New("empty: name a directory, or leave it out to use no templates")
	}
	c.templateDir = c.host.AbsolutePath(value)
	return nil
}

func (c *Config) checkTemplateDir() error {
	if c.templateDir == "" {
		return nil
	}
	return checkTemplateDir(c.templateDir)
}

func (c *Config) parseTemplateKeep(value string) error {
	d, err := parseDays("template-keep", value)
	if err != nil {
		return err
	}
	c.templateKeep, c.onlyWithTemplates = d, "template-keep"
	return nil
}

func (c *Config) parseTemplateUUID(value string) error {
	switch value {
	case "new", "same":
	default:
		return fmt.Errorf("%q: give new, a UUID for each disk, or same, the template's for all", value)
	}
	c.templateSameUUID, c.onlyWithTemplates = value == "same", "template-uuid"
	return nil
}

func (c *Config) checkTemplateKeep() error { return c.needsTemplateDir("template-keep") }
func (c *Config) checkTemplateUUID() error { return c.needsTemplateDir("template-uuid") }

func (c *Config) needsTemplateDir(name string) error {
	if c.templateDir == "" && c.onlyWithTemplates == name {
		return errors.New("only works with template-dir=: give that too, or leave this out")
	}
	return nil
}

// parseDays is parseDuration for long durations: it also reads 30d.
func parseDays(name, value string) (time.Duration, error) {
	days, ok := strings.CutSuffix(value, "d")
	if !ok || days == "" || !isDigits(days) {
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
