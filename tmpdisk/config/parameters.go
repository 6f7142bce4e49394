// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/template"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// A parameter is one key that the plugin keeps for itself. Names other than
// size, type, label, command and base must hold a hyphen: no shell variable can, so
// they never take a name from a command.
type parameter struct {
	// group, if not "", is the title of the group that begins here, as Help prints it.
	group string
	name  string
	// help is the value's form and what it means, as Help prints them.
	form, help string
	// parse checks value and stores it. Its error need not name the parameter.
	parse func(c *Config, value string) error
	// check, if not nil, is run by Complete, whether the parameter is given or
	// not. Its error need not name it either.
	check func(c *Config) error
	// needs, if not "", is the parameter without which this one, if given,
	// makes no sense.
	needs string
	// server means that it is the server's as a whole, so that no export can
	// have its own.
	server bool
}

// parameters is in the order Help prints. To add one, add its entry here, its
// field to Config, and its default to New.
var parameters = []parameter{
	{group: "The disk",
		name: "size", form: "SIZE", help: "how large each disk is, for example 1G",
		parse: (*Config).parseSize, check: (*Config).checkSize},
	{name: "size-max", form: "SIZE", help: "let clients ask for EXPORT:SIZE, up to this",
		parse: (*Config).parseSizeMax, check: (*Config).checkSizeMax},
	{name: "type", form: "TYPE", help: "filesystem: ext4 (default), xfs, vfat, swap, ...",
		parse: (*Config).parseType, check: (*Config).checkType},
	{name: "label", form: "LABEL", help: "label of the filesystem (default: none)",
		parse: (*Config).parseLabel, check: (*Config).checkLabel},
	{name: "mkfs-options", form: "TEXT", help: "more options for mkfs, quoted as for a shell",
		parse: (*Config).parseMkfsOptions, check: (*Config).checkMkfsOptions},
	{name: "sector-size", form: "BYTES", help: "for clients that have sectors of 512 to 4096",
		parse: (*Config).parseSectorSize, check: (*Config).checkSectorSize},
	{name: "base", form: "FILE", help: "image that each disk begins as, never changed",
		parse: ownPath("base", func(c *Config) *string { return &c.Base },
			"name an image, or leave it out to make disks by mkfs or a command"), check: (*Config).checkBase},
	{group: "How it is made",
		name: "command", form: "COMMAND", help: "shell script to make $disk, instead of mkfs",
		parse: (*Config).parseCommand},
	{name: "command-timeout", form: "DURATION", help: "how long it may run (default: for ever)",
		parse: into("command-timeout", parseDuration, func(c *Config) *time.Duration { return &c.CommandTimeout })},
	{name: "command-user", form: "USER|LOW-HIGH", help: "who it runs as, or one each of a range (as root)",
		parse: (*Config).parseCommandUser, server: true},
	{name: "spare-disks", form: "N", help: "a command's disks to keep ready (default: 0)",
		parse: into("spare-disks", count(0, maxSpareDisks), func(c *Config) *int { return &c.SpareDisks })},
	{name: "make-jobs", form: "N", help: "commands to run at a time (default: one per CPU)",
		parse: into("make-jobs", count(1, maxMakeJobs), func(c *Config) *int { return &c.MakeJobs }), server: true},
	{name: "template-dir", form: "DIR", help: "run the command once, and keep its disk in DIR",
		parse: ownPath("template-dir", func(c *Config) *string { return &c.TemplateDir },
			"name a directory, or leave it out to use no templates"), check: (*Config).checkTemplateDir},
	{group: "Sessions: disks that wait for their clients",
		name: "session-grace", form: "DURATION", help: "how long EXPORT/TOKEN waits (default: not at all)",
		parse: into("session-grace", parseDays, func(c *Config) *time.Duration { return &c.Session.Grace }), check: (*Config).checkSession},
	{name: "session-token", form: "MODE", help: "whether TOKEN is required, or optional (default)",
		parse: into("session-token", either("optional", "required"), func(c *Config) *bool { return &c.Session.Token }), needs: "session-grace"},
	{name: "session-key", form: "peer|name", help: "whose a session is (default: its client's)",
		parse: into("session-key", either("peer", "name"), func(c *Config) *bool { return &c.Session.ByName }), needs: "session-grace"},
	{name: "session-conflict", form: "MODE", help: "a second client: handover (default), or share",
		parse: (*Config).parseSessionConflict, needs: "session-grace"},
	{name: "session-dir", form: "DIR", help: "where sessions are kept (default: below TMPDIR)",
		parse: path(func(c *Config) *string { return &c.Session.Dir },
			"name a directory, or leave it out to keep sessions where disks are made (TMPDIR)"), check: (*Config).checkSessionDir, needs: "session-grace", server: true},
	{name: "session-sync", form: "yes|no", help: "flush for real, to outlive a crash (default: no)",
		parse: into("session-sync", either("no", "yes"), func(c *Config) *bool { return &c.Session.Sync }), needs: "session-grace", server: true},
	{name: "session-lost", form: "refuse|fresh", help: "what if its disk is gone (default: refuse)",
		parse: into("session-lost", either("refuse", "fresh"), func(c *Config) *bool { return &c.Session.Fresh }), needs: "session-grace"},
	{name: "session-max", form: "N", help: "disks that wait at a time (default: 1000)",
		parse: into("session-max", count(1, 1_000_000), func(c *Config) *int { return &c.Session.Max }), needs: "session-grace", server: true},
	{group: "Exports",
		name: "export-dir", form: "DIR", help: "serve an export NAME for each DIR/NAME.conf",
		parse: path(func(c *Config) *string { return &c.ExportDir },
			"name a directory with a file NAME.conf for each export, or leave it out"), server: true},
	{name: "export-description", form: "TEXT", help: "what a client is shown that lists the exports",
		parse: (*Config).parseExportDescription},
	{group: "Clients",
		name: "client-timeout", form: "DURATION", help: "how long a TCP client may be dead (default: 2m)",
		parse: (*Config).parseClientTimeout, server: true},
	{name: "client-disks", form: "N", help: "how many one may have (default: no limit)",
		parse: into("client-disks", count(1, 1_000_000), func(c *Config) *int { return &c.Limits.Disks }), server: true},
	{name: "client-rate", form: "SIZE", help: "bytes a second of one client (default: no limit)",
		parse: (*Config).parseClientRate, server: true},
	{name: "client-iops", form: "N", help: "requests a second of one (default: no limit)",
		parse: into("client-iops", count(1, 1_000_000_000), func(c *Config) *int { return &c.Limits.IOPS }), server: true},
	{name: "min-free", form: "SIZE|PERCENT%", help: "turn clients away when TMPDIR has less free",
		parse: (*Config).parseMinFree},
	{group: "Watching",
		name: "status-file", form: "FILE", help: "say in FILE, in JSON, who has which disk",
		parse: path(func(c *Config) *string { return &c.StatusFile },
			"name a file, as in status-file=/run/nbdkit-tmpdisk/swap.json, or leave it out"), server: true},
	{name: "metrics-file", form: "FILE.prom", help: "write metrics for Prometheus's node_exporter",
		parse: path(func(c *Config) *string { return &c.MetricsFile },
			"name a file in the directory of node_exporter's textfile collector, or leave it out"), server: true},
}

func (c *Config) parseSize(value string) error {
	if name, _, ok := strings.Cut(value, "="); ok {
		return fmt.Errorf("%q: nbdkit takes this for the size, because %s does not begin with a letter "+
			"or has something other than letters, digits and _-. in it: choose another name", value, printable(name))
	}
	size, err := c.host.ParseSize(value)
	if err != nil {
		return fmt.Errorf("%q: %w: give whole bytes, or a unit as in size=500M or size=16G", value, err)
	}
	c.Size = size
	return nil
}

func (c *Config) checkSize() error {
	if !c.HasDisk() || c.Base != "" {
		return nil
	}
	if !c.has("size") {
		return errors.New("missing: say how large each disk is, for example size=1G")
	}
	if c.Size == 0 && c.Command == "" {
		return errors.New("0 is only for a command= that makes a disk of its own size")
	}
	return nil
}

func (c *Config) parseType(value string) error {
	c.Type = value
	if value == "" {
		c.Type = mkfs.Default
	}
	c.setVariable("type", value)
	return nil
}

// To a command the type is a variable like others, and so is the label.
func (c *Config) checkType() error {
	if c.Command != "" || c.Base != "" {
		return nil
	}
	return mkfs.CheckType(c.Type)
}

func (c *Config) parseLabel(value string) error {
	c.Label = value
	c.setVariable("label", value)
	return nil
}

func (c *Config) checkLabel() error {
	if c.Command != "" || c.Base != "" {
		return nil
	}
	return mkfs.CheckLabel(c.Type, c.Label)
}

func (c *Config) parseMkfsOptions(value string) (err error) {
	c.MkfsOptions, err = mkfs.Words(value)
	return err
}

func (c *Config) checkMkfsOptions() error {
	switch {
	case len(c.MkfsOptions) == 0:
		return nil
	case c.Command != "":
		return errors.New("not mkfs but the command makes each disk: leave this out, or command=")
	case c.Base != "":
		return errors.New("not mkfs makes each disk, it is what is in the image: leave this out, or base=")
	}
	return mkfs.CheckOptions(c.Type, c.MkfsOptions)
}

func (c *Config) parseSectorSize(value string) error {
	if c.SectorSize = 0; value == "" {
		return c.withdraw("sector-size", "empty: give one of 512, 1024, 2048, 4096, or leave it out")
	}
	i := slices.Index([]string{"512", "1024", "2048", "4096"}, value)
	if i < 0 {
		return fmt.Errorf("%q: give one of 512, 1024, 2048, 4096", value)
	}
	c.SectorSize = 512 << i
	return nil
}

func (c *Config) checkSectorSize() error {
	if c.SectorSize == 0 || c.Command != "" || !c.HasDisk() {
		return nil
	}
	if c.Base == "" {
		if err := mkfs.CheckSector(c.Type, c.SectorSize); err != nil {
			return err
		}
	}
	return c.checkSectors(c.Size)
}

// checkSectors is about a disk of size bytes.
func (c *Config) checkSectors(size int64) error {
	if c.SectorSize != 0 && size%int64(c.SectorSize) != 0 {
		return fmt.Errorf("%d: the disk has %d bytes, which is not a multiple of that: give another size=", c.SectorSize, size)
	}
	return nil
}

func (c *Config) parseCommand(value string) error {
	c.Command = value
	if strings.TrimSpace(value) == "" {
		return c.withdraw("command", "empty: leave it out to run mkfs, or use command=: for a blank disk")
	}
	return nil
}

func (c *Config) parseCommandUser(value string) (err error) {
	c.CommandUsers, err = users.Parse(value)
	return err
}

// The upper ends of counts are far above what a machine can use. They catch a
// size given as a count, and keep make-jobs well below the 10,000 threads at
// which the Go runtime aborts.
const (
	maxSpareDisks = 10000
	maxMakeJobs   = 1000
)

func (c *Config) checkTemplateDir() error {
	if c.TemplateDir == "" {
		return nil
	}
	return template.Directories.Check(c.TemplateDir)
}

const (
	// The kernel counts in whole seconds and needs time for two probes and an
	// answer to the second, so that one lost packet ends nothing.
	minClientTimeout = 4 * time.Second
	// TCP_USER_TIMEOUT is 31 bits of milliseconds (24 days).
	maxClientTimeout = 7 * day
)

func (c *Config) parseClientTimeout(value string) error {
	d, err := parseDuration("client-timeout", value)
	if err != nil {
		return err
	}
	if d != 0 && (d < minClientTimeout || d > maxClientTimeout) {
		return fmt.Errorf("%q: out of range: give from 4s to 168h, or 0 for never", value)
	}
	c.ClientTimeout = d
	return nil
}

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

func (c *Config) parseMinFree(value string) error {
	m, err := c.readMinFree(strings.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("%q: %w: give a size as in min-free=10G, or a part of the filesystem as in min-free=5%%",
			value, err)
	}
	c.MinFree = m
	return nil
}

func (c *Config) readMinFree(text string) (minfree.Limit, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" { // nor 1e1, 0x1, inf
			return minfree.Limit{}, errors.New("not a number")
		}
		if percent >= 100 {
			return minfree.Limit{}, errors.New("not below 100%")
		}
		return minfree.Limit{Percent: percent}, nil
	}
	n, err := c.host.ParseSize(text)
	return minfree.Limit{Bytes: uint64(n)}, err
}

// gone are the parameters that earlier versions had, and what to use instead. They
// are refused by name: a server must not start with one of them without effect.
var gone = map[string]string{
	"session-forget": "it is known for a day that a session is lost: leave it out",
	"command-link": "a client has its disk to itself, and nbdkit-file-plugin serves a file that all change: leave it out, " +
		"and copy the file (cp --reflink=auto)",
	"command-uids":  "use command-user=LOW-HIGH",
	"template-keep": "templates that nobody has used for 30 days are removed: leave it out",
	"template-uuid": "each disk has a UUID of its own: leave it out, " +
		"or give command= with mkfs -U for one UUID for all",
}
