// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strings"
)

// Help is the text of nbdkit's .config_help: one line for each parameter,
// without a final newline.
func Help() string {
	keys := make([]string, len(parameters))
	width := 0
	for i, p := range parameters {
		keys[i] = fmt.Sprintf("%s=<%s>", p.name, p.form)
		if p.name == "size" { // the magic key
			keys[i] = "[size=]<" + p.form + ">"
		}
		width = max(width, len(keys[i]))
	}
	var b strings.Builder
	for i, p := range parameters {
		fmt.Fprintf(&b, "%-*s  %s\n", width, keys[i], p.help)
	}
	fmt.Fprintf(&b, "%-*s  %s", width, "NAME=<VALUE>", "any other name: a shell variable of the command")
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
