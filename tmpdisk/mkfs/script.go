// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"slices"
	"strings"

	"nbdkit-tmpdisk-plugin/shellquote"
)

// Path is what is added to PATH: an ordinary user's often lacks the directories
// of mkfs.
const Path = "/usr/sbin:/sbin"

// Script is the part of a shell script that makes a filesystem of fsType and
// size bytes. It expects $disk, and $label if labelled is set. older is 0, or 1
// and more for the options that older and older versions of the program know;
// see UnknownOption.
//
// Some programs say on standard output why they fail, so it joins the error.
// The shell becomes mkfs, for its parent death signal's sake.
func Script(fsType string, size int64, labelled bool, older int) string {
	fs := filesystemOf(fsType)
	missing := fs.program + ": program not found: no " + fsType + " disks without it"
	if fs.debian != "" {
		missing += " (Debian package " + fs.debian + ")"
	}
	run := "exec " + fs.program
	if older > 0 {
		run += " " + fs.older[older-1]
	} else if options := fs.options(size); options != "" {
		run += " " + options
	}
	if labelled {
		run += " " + fs.label.option + ` "$label"`
	}
	run += ` "$disk"`
	// A label that is not ASCII needs a locale that says how it is encoded.
	return "exec >&2\n" +
		"PATH=${PATH:-/usr/bin:/bin}:" + Path + "\n" +
		"LC_ALL=C.UTF-8\n" +
		"export PATH LC_ALL\n" +
		"command -v " + fs.program + " >/dev/null || {\n" +
		"\techo " + shellquote.Quote(missing) + "\n\texit 127\n}\n" +
		run + "\n"
}

// UnknownOption reports whether err, which has what the program of fsType wrote,
// says that the program does not know one of the options of older, and there are
// options for versions that are older still. Nothing else is a reason to try
// those.
func UnknownOption(fsType string, older int, err error) bool {
	text := err.Error()
	return older < len(filesystemOf(fsType).older) &&
		slices.ContainsFunc(unknownOption, func(s string) bool { return strings.Contains(text, s) })
}

// unknownOption is how mke2fs refuses -E, -O and others.
var unknownOption = []string{"Bad option(s) specified", "Invalid filesystem option set", "invalid option -- "}
