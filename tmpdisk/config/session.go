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

	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
)

// Session is how disks wait for their clients. Without Grace there are no
// sessions.
type Session struct {
	Grace  time.Duration
	Token  bool   // every client must name one
	ByName bool   // whoever knows the name has the session
	Share  bool   // all clients of a session go on
	Dir    string // absolute; "" is where disks are made
	Sync   bool
	Fresh  bool // a lost session gets a fresh disk
	Max    int
}

// checkSession looks for parameters of sessions where there are none: a client
// would lose what it was to keep.
func (c *Config) checkSession() error {
	switch {
	case c.Session.Grace != 0:
		return nil
	case c.own == nil && c.ExportDir != "":
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

func (c *Config) parseSessionConflict(value string) error {
	if value == "refuse" {
		return errors.New("refuse: is no longer there: with handover, the default, a newcomer takes the session over, " +
			"and a second client that must never have it needs a token of its own")
	}
	share, err := either("handover", "share")("", value)
	c.Session.Share = share
	return err
}

func (c *Config) checkSessionDir() error {
	if c.Session.Dir == "" || c.own != nil { // the command line has been checked
		return nil
	}
	return files.Directories.Check(c.Session.Dir)
}
