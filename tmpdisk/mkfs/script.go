// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import "nbdkit-tmpdisk-plugin/shellquote"

// Path is what is added to PATH: an ordinary user's often lacks the directories
// of mkfs.
const Path = "/usr/sbin:/sbin"

// Script is the part of a shell script that makes a filesystem of fsType and
// size bytes. It expects $disk, and $label if labelled is set.
//
// Some programs say on standard output why they fail, so it joins the error.
// The shell becomes mkfs, for its parent death signal's sake.
func Script(fsType string, size int64, labelled bool) string {
	fs := filesystemOf(fsType)
	run := "exec " + fs.program
	if options := fs.options(size); options != "" {
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
		"\techo " + shellquote.Quote(Missing(fsType)) + "\n\texit 127\n}\n" +
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
