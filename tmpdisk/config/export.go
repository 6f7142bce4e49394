// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"unicode/utf8"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// HasDisk reports whether this is the configuration of a disk. That of a command
// line with export-dir but neither size nor base is not.
func (c *Config) HasDisk() bool { return c.ExportDir == "" || c.has("size") || c.Base != "" }

// Export returns the configuration of an export: what the command line says, where
// its file does not say otherwise. The error says in which line.
func (c *Config) Export(settings []export.Setting) (*Config, error) {
	e := *c
	e.ExportDir, e.Description = "", ""
	e.Variables = slices.Clone(c.Variables)
	e.given, e.own = maps.Clone(c.given), map[string]bool{}
	lines := map[string]int{}
	for _, s := range settings {
		if p := findParameter(s.Key); p != nil && p.server {
			return nil, export.AtLine(s.Line, fmt.Errorf("parameter %s: is the server's as a whole: give it on the command line", s.Key))
		}
		if err := e.Set(s.Key, s.Value); err != nil {
			return nil, export.AtLine(s.Line, err)
		}
		lines[s.Key] = s.Line
	}
	err := e.Complete()
	var about *parameterError
	if errors.As(err, &about) && lines[about.name] != 0 {
		return nil, export.AtLine(lines[about.name], err)
	}
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// Given are the values of parameters of ours that are given, by name.
func (c *Config) Given() map[string]string { return maps.Clone(c.given) }

func (c *Config) has(name string) bool {
	_, ok := c.given[name]
	return ok
}

// note remembers that a parameter of ours is given.
func (c *Config) note(name, value string) {
	c.given[name] = value
	if c.own != nil {
		c.own[name] = true
	}
}

// withdraw is for an empty value, with which an export does without what the
// command line has for all. There it is a mistake.
func (c *Config) withdraw(name, mistake string) error {
	if c.own == nil {
		return errors.New(mistake)
	}
	delete(c.given, name)
	delete(c.own, name)
	return nil
}

// lacks reports whether p was given here without the parameter that it needs. If
// that is an export's to have, the command line need not have it for all.
func (c *Config) lacks(p *parameter) bool {
	if p.needs == "" || c.has(p.needs) {
		return false
	}
	if c.own != nil {
		return c.own[p.name]
	}
	return c.has(p.name) && (c.ExportDir == "" || findParameter(p.needs).server)
}

// A Disk is a kind of disk that clients are to get.
type Disk struct {
	*Config
	File string // of the export; "" for the command line
}

// CheckFiles looks at the files that Complete does not look at: it reads those of
// export-dir, and finds out whether others can be written, and who else may write to
// TMPDIR. It logs what is not wrong but odd. It is for the time before the server forks.
// Later a file may be half-written, or not belong to the server's user, which is no reason
// to serve nobody. It returns the disks that there are.
func (c *Config) CheckFiles() (disks []Disk, err error) {
	if err := privdir.CheckTrust(TMPDIR(c.host)); err != nil {
		return nil, fmt.Errorf("TMPDIR: %w", err)
	}
	if err := c.checkImage(); err != nil {
		return nil, err
	}
	if err := c.checkReports(); err != nil {
		return nil, err
	}
	if c.HasDisk() {
		disks = []Disk{{c, ""}}
	}
	commands := c.Command != ""
	if c.ExportDir != "" {
		err = export.Check(c.ExportDir, func(name string, settings []export.Setting) error {
			e, err := c.Export(settings)
			if err != nil {
				return err
			}
			if e.Command != "" {
				commands = true
				e.warn()
			}
			disks = append(disks, Disk{e, export.Path(c.ExportDir, name)})
			return e.checkImage()
		})
	}
	switch {
	case err != nil:
		return nil, &parameterError{"export-dir", err}
	case !commands && len(disks) > 0: // else exports that are to come may have one
		return disks, c.checkUnread()
	}
	c.warn()
	return disks, nil
}

// checkReports looks whether the files can be written.
func (c *Config) checkReports() error {
	if c.StatusFile != "" {
		if err := status.Check(c.StatusFile); err != nil {
			return &parameterError{"status-file", err}
		}
	}
	if c.MetricsFile == "" {
		return nil
	}
	err := status.CheckMetrics(c.MetricsFile)
	if c.MetricsFile == c.StatusFile {
		err = errors.New("the same file as status-file: give it another name")
	}
	if err != nil {
		return &parameterError{"metrics-file", err}
	}
	return nil
}

// TMPDIR is where disks are made, an absolute path.
func TMPDIR(host interface{ AbsolutePath(string) string }) string {
	return host.AbsolutePath(cmp.Or(os.Getenv("TMPDIR"), "/var/tmp"))
}

// maxDescription is how long NBD lets a text be, in bytes.
const maxDescription = 4096

func (c *Config) parseExportDescription(value string) error {
	switch {
	case len(value) > maxDescription:
		return fmt.Errorf("%d bytes: NBD allows %d", len(value), maxDescription)
	case !utf8.ValidString(value):
		return fmt.Errorf("%.100q: not UTF-8, which NBD asks for", value)
	}
	c.Description = value
	return nil
}
