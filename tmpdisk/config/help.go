// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strings"
)

// Help is the text of nbdkit's .config_help, without a final newline: in groups, one line
// of at most 80 columns for each parameter.
func Help() string {
	keys, width := make([]string, len(parameters)), 0
	for i, p := range parameters {
		keys[i] = p.name + "=<" + p.form + ">"
		if p.name == "size" {
			keys[i] = "[size=]<" + p.form + ">" // the magic key
		}
		width = max(width, len(keys[i]))
	}
	var b strings.Builder
	for i, p := range parameters {
		if p.group != "" && i > 0 {
			b.WriteByte('\n')
		}
		if p.group != "" {
			fmt.Fprintf(&b, "%s:\n", p.group)
		}
		fmt.Fprintf(&b, "%-*s  %s\n", width, keys[i], p.help)
	}
	fmt.Fprintf(&b, "\nAnything else:\n%-*s  %s", width, "NAME=<VALUE>", "a shell variable of the command")
	return b.String()
}

// Names are those of the parameters, in the order of Help.
func Names() []string {
	names := make([]string, len(parameters))
	for i, p := range parameters {
		names[i] = p.name
	}
	return names
}
