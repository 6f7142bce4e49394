// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A parameter is one key that the plugin keeps for itself. Names other than
// size, type, label and command must hold a hyphen: no shell variable can, so
// they never take a name from a command.
type parameter struct {
	name string
	// help is the value's form and what it means, as Help prints them.
	form, help string
	// parse checks value and stores it. Its error is prefixed with the
	// parameter's name by the caller.
	parse func(c *Config, value string) error
	// check, if not nil, is run by Complete for every parameter, given or
	// not, in the table's order. Its error is prefixed likewise.
	check func(c *Config) error
}

// parameters is in the order Help prints. To add one, add its entry here, its
// field to Config, and its default to NewConfig.
var parameters = []parameter{
	{"size", "SIZE", "(required) size of each disk, for example 1G", (*Config).parseSize, (*Config).checkSize},
	{"type", "TYPE", "filesystem: ext4 (default), xfs, vfat, swap, ...", (*Config).parseType, (*Config).checkType},
	{"label", "LABEL", "filesystem label (default: none)", (*Config).parseLabel, (*Config).checkLabel},
	{"command", "COMMAND", "shell script to make $disk, instead of mkfs", (*Config).parseCommand, nil},
	{"command-timeout", "DURATION", "how long the command may run (default: for ever)", (*Config).parseCommandTimeout, nil},
	{"command-user", "USER", "who the command runs as (root only)", (*Config).parseCommandUser, (*Config).checkCommandUsers},
	{"command-uids", "LOW-HIGH", "user numbers that commands run as, one each (root only)", (*Config).parseCommandUIDs, nil},
	{"spare-disks", "N", "disks to keep ready for clients (default 0, at most 10000)", (*Config).parseSpareDisks, nil},
	{"make-jobs", "N", "disks to make at the same time (default: one per CPU)", (*Config).parseMakeJobs, nil},
	{"template-dir", "DIR", "make one disk, keep it in DIR, and clone it (default: off)", (*Config).parseTemplateDir, (*Config).checkTemplateDir},
	{"template-keep", "DURATION", "remove templates not used for so long (default: 30d; 0: never)", (*Config).parseTemplateKeep, (*Config).checkTemplateKeep},
	{"template-uuid", "new|same", "a UUID for each clone, or the template's (default: new)", (*Config).parseTemplateUUID, (*Config).checkTemplateUUID},
	{"client-timeout", "DURATION", "how long a TCP client may be dead: 2m (default), 0 for ever", (*Config).parseClientTimeout, nil},
	{"min-free", "SIZE|PERCENT%", "turn clients away when TMPDIR has less free (default: never)", (*Config).parseMinFree, nil},
}

// A variable is one assignment at the head of the command's script.
type variable struct{ name, value string }

// Config is the plugin's configuration. Fill it with Set, check it with
// Complete, and do not change it afterwards: it is then safe to share. It has
// no side effects, because nbdkit's parameters are replayed in two processes.
type Config struct {
	host Host

	size      int64 // bytes; what the command is told, not what it must make
	sizeGiven bool
	fsType    string // "" is defaultType
	label     string // "" is none
	command   string // "" runs mkfs
	run       commandConfig

	clientTimeout time.Duration // 0 is never
	minFree       minFree

	spareDisks int
	makeJobs   int // 0 is one per CPU

	// vars are the command's variables in the order of their first mention,
	// type and label among them if given. disk and size are not in it.
	vars []variable

	templateConfig
}

// NewConfig returns a configuration with every parameter at its default.
func NewConfig(host Host) *Config {
	return &Config{
		host:           host,
		clientTimeout:  defaultClientTimeout,
		templateConfig: templateConfig{templateKeep: defaultTemplateKeep},
	}
}

// Set stores one key=value (nbdkit's .config). A later value of the same key
// replaces an earlier one. The error names the key and the remedy.
func (c *Config) Set(key, value string) error {
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("parameter %s: NUL byte: no shell variable can hold one", printable(key))
	}
	if key == "disk" {
		return errors.New("parameter disk: cannot be set: " +
			"the command is given the path of its new disk in this variable")
	}
	if p := findParameter(key); p != nil {
		if err := p.parse(c, value); err != nil {
			return fmt.Errorf("parameter %s: %w", key, err)
		}
		return nil
	}
	if !isShellName(key) {
		return fmt.Errorf("parameter %s: unknown, and not a name that a shell variable can have%s",
			printable(key), didYouMean(key))
	}
	c.setVar(key, value)
	return nil
}

// Complete checks what can only be checked once every parameter is known
// (nbdkit's .config_complete).
func (c *Config) Complete() error {
	for _, p := range parameters {
		if p.check == nil {
			continue
		}
		if err := p.check(c); err != nil {
			return fmt.Errorf("parameter %s: %w", p.name, err)
		}
	}
	if c.command == "" {
		return c.checkUnused()
	}
	return nil
}

// checkUnused looks at variables that no command will read. Upstream takes
// them in silence, so only what looks like a slip of the pen is an error.
func (c *Config) checkUnused() error {
	for _, v := range c.vars {
		if findParameter(v.name) != nil {
			continue
		}
		if hint := didYouMean(v.name); hint != "" {
			return fmt.Errorf("parameter %s: unknown, and without command= nothing reads it%s", v.name, hint)
		}
		c.host.Debug(fmt.Sprintf("parameter %s: without command= nothing reads it (ignored)", v.name))
	}
	return nil
}

func (c *Config) parseSize(value string) error {
	size, err := c.host.ParseSize(value)
	if err == nil && size < 0 {
		err = errors.New("negative")
	}
	if err != nil {
		return fmt.Errorf("%q: %w: give whole bytes, or a unit as in size=500M or size=16G", value, err)
	}
	c.size, c.sizeGiven = size, true
	return nil
}

func (c *Config) checkSize() error {
	if !c.sizeGiven {
		return errors.New("missing: say how large each disk is, for example size=1G")
	}
	if c.size == 0 && c.command == "" {
		return errors.New("0 is only for a command= that makes a disk of its own size")
	}
	return nil
}

func (c *Config) parseType(value string) error {
	c.fsType = value
	c.setVar("type", value)
	return nil
}

func (c *Config) parseLabel(value string) error {
	c.label = value
	c.setVar("label", value)
	return nil
}

func (c *Config) parseCommand(value string) error {
	if strings.TrimSpace(value) == "" {
		return errors.New("empty: leave it out to run mkfs, or use command=: for a blank disk")
	}
	c.command = value
	return nil
}

func (c *Config) setVar(name, value string) {
	for i := range c.vars {
		if c.vars[i].name == name {
			c.vars[i].value = value
			return
		}
	}
	c.vars = append(c.vars, variable{name, value})
}
