// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session"
)

// Session is how disks wait for their clients. Without Grace there are no
// sessions.
type Session struct {
	Grace    time.Duration
	ByName   bool // whoever knows the name has the session
	Conflict session.Conflict
	Dir      string // absolute; "" keeps them in memory
	Sync     bool
	Fresh    bool // a lost session gets a fresh disk
	Forget   time.Duration
	Max      int
}

// oneOf returns the place of value among those that may be given.
func oneOf(value string, may ...string) (int, error) {
	i := slices.Index(may, value)
	if i < 0 {
		return 0, fmt.Errorf("%q: give one of %s", value, strings.Join(may, ", "))
	}
	return i, nil
}

func (c *Config) parseSessionGrace(value string) (err error) {
	c.Session.Grace, err = parseDays("session-grace", value)
	return err
}

// checkSession looks for parameters of sessions where there are none: a client
// would lose what it was to keep.
func (c *Config) checkSession() error {
	if c.Session.Grace != 0 {
		return nil
	}
	if c.own == nil && c.ExportDir != "" {
		return nil // exports may have sessions
	}
	given := func(name string) bool { return c.has(name) && (c.own == nil || c.own[name]) }
	for _, name := range slices.Sorted(maps.Keys(c.given)) {
		if strings.HasPrefix(name, "session-") && name != "session-grace" && given("session-grace") && given(name) {
			return fmt.Errorf("0: there are no sessions, but %s is given: give a time as in session-grace=10m, or leave that out", name)
		}
	}
	return nil
}

func (c *Config) parseSessionKey(value string) error {
	i, err := oneOf(value, "peer", "name")
	c.Session.ByName = i == 1
	return err
}

func (c *Config) parseSessionConflict(value string) error {
	i, err := oneOf(value, "handover", "refuse", "share")
	c.Session.Conflict = []session.Conflict{session.Handover, session.Refuse, session.Share}[i]
	return err
}

func (c *Config) parseSessionDir(value string) error {
	if value == "" {
		return errors.New("empty: name a directory, or leave it out to keep sessions in memory")
	}
	c.Session.Dir = c.host.AbsolutePath(value)
	return nil
}

func (c *Config) checkSessionDir() error {
	if c.Session.Dir == "" {
		return nil
	}
	if c.CommandLinkShare && c.Session.Grace != 0 {
		return errors.New("cannot keep a file that all clients change (command-link=share): leave one of them out")
	}
	if c.own != nil {
		return nil // the command line has been checked
	}
	return session.Directories.Check(c.Session.Dir)
}

func (c *Config) parseSessionSync(value string) error {
	i, err := oneOf(value, "no", "yes")
	c.Session.Sync = i == 1
	return err
}

func (c *Config) parseSessionLost(value string) error {
	i, err := oneOf(value, "refuse", "fresh")
	c.Session.Fresh = i == 1
	return err
}

func (c *Config) parseSessionForget(value string) (err error) {
	if c.Session.Forget, err = parseDays("session-forget", value); err == nil && c.Session.Forget == 0 {
		return errors.New("0: use session-lost=fresh to give a lost session a fresh disk")
	}
	return err
}

func (c *Config) parseSessionMax(value string) (err error) {
	c.Session.Max, err = parseCount("session-max", value, 1, 1_000_000)
	return err
}
