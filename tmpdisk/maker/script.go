// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"strconv"
	"strings"

	"nbdkit-tmpdisk-plugin/shellquote"
	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// newScript is a command that makes the disk at path disk. nbdkit -s talks to its client over stdin
// and stdout, so the first line takes both away. disk and size come last of the
// variables: none can replace them.
func newScript(c *config.Config, disk string) command.Command {
	var b strings.Builder
	s := command.Command{Script: c.Command + "\n", Timeout: c.CommandTimeout}
	set := func(v config.Variable) {
		assign(&b, v)
		s.Unexported = append(s.Unexported, v.Name)
	}
	b.WriteString("exec </dev/null >/dev/null\n")
	for _, v := range c.Variables {
		// mkfs gets all but the label by its options.
		if c.Command != "" || v.Name == "label" {
			set(v)
		}
	}
	set(config.Variable{Name: "disk", Value: disk})
	set(config.Variable{Name: "size", Value: strconv.FormatInt(c.Size, 10)})
	if c.Command == "" {
		s.Script = spec(c).Script()
	}
	s.Setup = b.String()
	return s
}

// spec is what mkfs makes.
func spec(c *config.Config) mkfs.Spec {
	return mkfs.Spec{Type: c.Type, Size: c.Size, Label: c.Label != "", Sector: c.SectorSize, Options: c.MkfsOptions}
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
