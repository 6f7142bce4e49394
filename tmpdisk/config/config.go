// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// Host is what the configuration needs of nbdkit.
type Host interface {
	// ParseSize turns "1G" into bytes the way nbdkit_parse_size does: never a
	// negative number of them.
	ParseSize(s string) (int64, error)
	// AbsolutePath resolves path against the directory nbdkit was started in.
	AbsolutePath(path string) string
	// Debug writes one line that only `nbdkit -v` shows.
	Debug(msg string)
	// Error writes one line to the log.
	Error(msg string)
}

// Config is the plugin's configuration. Fill it with Set, check it with
// Complete, and do not change it afterwards.
type Config struct {
	Size    int64  // bytes; what the command is told, not what it must make
	SizeMax int64  // bytes that clients may name; 0 lets them name none
	Type    string // "" with a base only
	Label   string // "" is none
	Command string // "" runs mkfs
	// MkfsOptions are more words for its command line.
	MkfsOptions []string
	SectorSize  int // bytes; 0 says nothing of sectors to clients and mkfs
	// Base is the image that each disk begins as, an absolute path; "" is none. Then Size
	// may be 0, which is the image's.
	Base string
	// Variables are the command's, in the order of their first mention, type
	// and label among them if given. disk and size are not in it.
	Variables []Variable

	CommandTimeout time.Duration // 0 is for ever
	// CommandUsers are those that commands run as; nil is the server's own.
	CommandUsers *users.Pool

	SpareDisks int
	MakeJobs   int // 0 is one per CPU

	TemplateDir string // absolute; "" uses no templates

	Session Session

	ExportDir   string // absolute; "" serves one disk under every name
	Description string // of the export

	ClientTimeout time.Duration // 0 is never
	MinFree       minfree.Limit

	StatusFile, MetricsFile string // absolute; "" writes none
	Limits                  clients.Limits

	host  Host
	given map[string]string // values of parameters of ours, by name
	// own is nil but for an export: those of given that its file has.
	own map[string]bool
}

// A Variable is one assignment at the head of the command's script.
type Variable struct{ Name, Value string }

// New returns a configuration with every parameter at its default.
func New(host Host) *Config {
	return &Config{
		Type:          mkfs.Default,
		ClientTimeout: 2 * time.Minute,
		Session:       Session{Max: 1000},
		host:          host,
		given:         map[string]string{},
	}
}

// Builtin reports whether a program of the built-in types makes the disk.
func (c *Config) Builtin() bool { return c.Command == "" && c.Base == "" && mkfs.Builtin(c.Type) }

// Jobs is how many commands may run at a time. More than there are users for them would
// wait for these, out of turn.
func (c *Config) Jobs() int {
	n := cmp.Or(c.MakeJobs, runtime.NumCPU())
	if c.CommandUsers != nil {
		n = min(n, c.CommandUsers.Len())
	}
	return n
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
		c.note(key, value)
		if err := p.parse(c, value); err != nil {
			return &parameterError{key, err}
		}
		return nil
	}
	ours := properName(key)
	if instead, ok := gone[ours]; ok {
		return &parameterError{printable(key), errors.New("there is no such parameter any more: " + instead)}
	}
	if ours != "" {
		// A protection that is mistyped must not be a variable that nobody looks at.
		return &parameterError{printable(key), fmt.Errorf("unknown; did you mean %s=?", ours)}
	}
	if !isShellName(key) {
		return fmt.Errorf("parameter %s: unknown, and not a name that a shell variable can have%s",
			printable(key), didYouMean(key))
	}
	c.setVariable(key, value)
	if c.own != nil {
		c.own[key] = true
	}
	return nil
}

// Complete checks what can only be checked once every parameter is known
// (nbdkit's .config_complete).
func (c *Config) Complete() error {
	if c.own != nil {
		c.replaceInherited()
	}
	for i := range parameters {
		p := &parameters[i]
		if c.lacks(p) {
			return &parameterError{p.name, fmt.Errorf("only works with %s=: give that too, or leave this out", p.needs)}
		}
		if p.check == nil {
			continue
		}
		if err := p.check(c); err != nil {
			return &parameterError{p.name, err}
		}
	}
	if c.Command == "" && c.ExportDir == "" { // else the command of an export may read it
		return c.checkUnread()
	}
	return nil
}

// checkUnread refuses variables that no command reads: whoever gave them wanted another
// disk. Those that an export has from the command line may be meant for others.
func (c *Config) checkUnread() error {
	for v := range c.variables() {
		return &parameterError{v, errors.New("unknown, and without command= nothing reads it" + didYouMean(v))}
	}
	return nil
}

// warn tells of variables whose names are nearly ours, which a command reads.
func (c *Config) warn() {
	for v := range c.variables() {
		if p := nearest(v); p != "" {
			c.host.Error(fmt.Sprintf("parameter %s: is only a variable of the command; did you mean %s=?", v, p))
		}
	}
}

// variables are the names of those that are given here and are no parameters of ours.
func (c *Config) variables() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range c.Variables {
			if findParameter(v.Name) == nil && (c.own == nil || c.own[v.Name]) && !yield(v.Name) {
				return
			}
		}
	}
}

func (c *Config) setVariable(name, value string) {
	i := slices.IndexFunc(c.Variables, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		c.Variables = append(c.Variables, Variable{name, value})
	} else {
		c.Variables[i].Value = value
	}
}

// A parameterError is about one parameter.
type parameterError struct {
	name string
	err  error
}

func (e *parameterError) Error() string { return "parameter " + e.name + ": " + e.err.Error() }
func (e *parameterError) Unwrap() error { return e.err }
