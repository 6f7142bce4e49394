// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"strconv"
	"strings"

	"nbdkit-tmpdisk-plugin/shellquote"
)

// script is what /bin/sh runs to make a disk: setup, which assigns variables of
// these names, and then text, whose lines the shell's messages count.
type script struct {
	setup, text string
	names       []string
}

// script makes the disk at path disk. nbdkit -s talks to its client over stdin
// and stdout, so the first line takes both away. disk and size come last of the
// variables: none can replace them.
func (c *Config) script(disk string) script {
	if c.command == "" {
		return c.mkfsScript(disk, false)
	}
	return c.withVariables(disk, c.command+"\n")
}

// olderScript is script for a mkfs of an older version.
func (c *Config) olderScript(disk string) script { return c.mkfsScript(disk, true) }

func (c *Config) mkfsScript(disk string, older bool) script {
	return c.withVariables(disk, mkfsScript(c.mkfsType(), c.size, c.label != "", older))
}

func (c *Config) withVariables(disk, text string) script {
	var b strings.Builder
	var names []string
	set := func(v variable) {
		assign(&b, v)
		names = append(names, v.name)
	}
	b.WriteString("exec </dev/null >/dev/null\n")
	for _, v := range c.vars {
		// mkfs gets all but the label by its options.
		if c.command != "" || v.name == "label" {
			set(v)
		}
	}
	set(variable{"disk", disk})
	set(variable{"size", strconv.FormatInt(c.size, 10)})
	return script{b.String(), text, names}
}

// assign writes the assignment of one variable. Shells keep some names, all
// in capitals, to themselves: bash drops an assignment to GROUPS in silence,
// dash ends at OPTIND=x with a message that does not name it. Which ones is a
// matter of the shell, so for such names the script looks and says so itself.
func assign(b *strings.Builder, v variable) {
	word := shellquote.Quote(v.value)
	if strings.ContainsAny(v.name, "abcdefghijklmnopqrstuvwxyz") {
		b.WriteString(v.name + "=" + word + "\n")
		return
	}
	b.WriteString("trap 'echo \"parameter " + v.name +
		": the shell keeps this variable to itself: choose another name\" >&2' EXIT\n" +
		v.name + "=" + word + "\n" +
		"[ x\"$" + v.name + "\" = x" + word + " ] || exit 1\n" +
		"trap - EXIT\n")
}
