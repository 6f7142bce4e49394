// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Help is the text of nbdkit's .config_help: one line for each parameter,
// without a final newline.
func Help() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, p := range parameters {
		key := p.name + "="
		if p.name == "size" {
			key = "[size=]" // the magic key
		}
		fmt.Fprintf(w, "%s<%s>\t%s\n", key, p.form, p.help)
	}
	fmt.Fprint(w, "NAME=<VALUE>\tany other name: a shell variable of the command")
	w.Flush()
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
