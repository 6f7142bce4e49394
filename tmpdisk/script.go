// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"strconv"
	"strings"

	"nbdkit-tmpdisk-plugin/shellquote"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// script is the whole text that /bin/sh runs to make the disk at path disk, with
// the options of an older mkfs as mkfs.Script has them. nbdkit -s talks to its client
// over stdin and stdout, so the first line takes both away. disk and size come
// last of the variables: none can replace them.
func script(c *config.Config, disk string, older int) string {
	var b strings.Builder
	b.WriteString("exec </dev/null >/dev/null\n")
	for _, v := range c.Variables {
		// mkfs gets all but the label by its options.
		if c.Command != "" || v.Name == "label" {
			assign(&b, v)
		}
	}
	assign(&b, config.Variable{Name: "disk", Value: disk})
	assign(&b, config.Variable{Name: "size", Value: strconv.FormatInt(c.Size, 10)})
	if c.Command != "" {
		b.WriteString(c.Command)
		b.WriteString("\n")
	} else {
		b.WriteString(mkfs.Script(c.Type, c.Size, c.Label != "", older))
	}
	return b.String()
}

// assign writes the assignment of one variable. Shells keep some names, all
// in capitals, to themselves: bash drops an assignment to GROUPS in silence,
// dash ends at OPTIND=x with a message that does not name it. Which ones is a
// matter of the shell, so for such names the script looks and says so itself.
func assign(b *strings.Builder, v config.Variable) {
	word := shellquote.Quote(v.Value)
	if strings.ContainsAny(v.Name, "abcdefghijklmnopqrstuvwxyz") {
		b.WriteString(v.Name + "=" + word + "\n")
		return
	}
	b.WriteString("trap 'echo \"parameter " + v.Name +
		": the shell keeps this variable to itself: choose another name\" >&2' EXIT\n" +
		v.Name + "=" + word + "\n" +
		"[ x\"$" + v.Name + "\" = x" + word + " ] || exit 1\n" +
		"trap - EXIT\n")
}
