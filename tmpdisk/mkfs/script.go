// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import "nbdkit-tmpdisk-plugin/shellquote"

// Path is what is added to PATH: an ordinary user's often lacks the directories
// of mkfs.
const Path = "/usr/sbin:/sbin"

// A Spec says which filesystem a script makes.
type Spec struct {
	Type    string
	Size    int64    // of the disk, in bytes
	Label   bool     // the script finds it in $label
	Sector  int      // size of the client's sectors, in bytes; 0 is not known
	Options []string // for the program, after our own
}

// Script is the part of a shell script that makes the filesystem. It expects
// $disk, and $label if there is one.
//
// Some programs say on standard output why they fail, so it joins the error.
// The shell becomes mkfs, for its parent death signal's sake.
func (s Spec) Script() string {
	fs := filesystemOf(s.Type)
	run := "exec " + fs.program
	if options := fs.options(s); options != "" {
		run += " " + options
	}
	if s.Label {
		run += " " + fs.label.option + ` "$label"`
	}
	for _, word := range fs.left(s.Options) {
		run += " " + shellquote.Quote(word)
	}
	run += ` "$disk"`
	// A label that is not ASCII needs a locale that says how it is encoded.
	return "exec >&2\n" +
		"PATH=${PATH:-/usr/bin:/bin}:" + Path + "\n" +
		"LC_ALL=C.UTF-8\n" +
		"export PATH LC_ALL\n" +
		"command -v " + fs.program + " >/dev/null || {\n" +
		"\techo " + shellquote.Quote(Missing(s.Type)) + "\n\texit 127\n}\n" +
		run + "\n"
}

// Missing says that the program of fsType is not there.
func Missing(fsType string) string {
	fs := filesystemOf(fsType)
	text := fs.program + ": program not found: no " + fsType + " disks without it"
	if fs.debian != "" {
		text += " (Debian package " + fs.debian + ")"
	}
	return text
}
