// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Builtin reports whether fsType is one of the types whose programs are known.
// Of other mkfs programs it is not known what they do.
func Builtin(fsType string) bool {
	_, ok := filesystems[fsType]
	return ok
}

// Program is the name of the program that makes fsType.
func Program(fsType string) string { return filesystemOf(fsType).program }

// CheckType keeps fsType from being more than the end of a program's name.
func CheckType(fsType string) error {
	for _, r := range fsType {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return fmt.Errorf("%q: not a filesystem's name, for example ext4, xfs or vfat", fsType)
		}
	}
	return nil
}

// CheckLabel returns an error if a filesystem of fsType cannot have label.
func CheckLabel(fsType, label string) error {
	if label == "" {
		return nil
	}
	rule, unit, n := filesystemOf(fsType).label, "bytes", len(label)
	if rule.option == "" {
		return fmt.Errorf("%s has no labels: leave label= out or choose another type=", fsType)
	}
	if rule.ascii && strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%q: %s holds printable ASCII characters only", label, fsType)
	}
	if rule.utf16 {
		if !utf8.ValidString(label) {
			return errors.New("not UTF-8, which " + fsType + " needs")
		}
		unit, n = "characters", len(utf16.Encode([]rune(label)))
	}
	if rule.max > 0 && n > rule.max {
		return fmt.Errorf("%q: has %d %s, %s holds at most %d", label, n, unit, fsType, rule.max)
	}
	return nil
}

// CheckOptions returns an error if options do not go together with disks of fsType that
// each have an identity of their own, or are none.
func CheckOptions(fsType string, options []string) error {
	identity := filesystemOf(fsType).identity
	for i, word := range options {
		if i == 0 && !strings.HasPrefix(word, "-") {
			return fmt.Errorf("%q: is no option: one begins with a hyphen, as in mkfs-options='-m 0'", word)
		}
		if identity != "" && strings.HasPrefix(word, identity) || strings.Contains(word, "uuid=") || word == "--uuid" || word == "--with-uuid" {
			return fmt.Errorf("%q: each disk has an identity of its own: leave it out, "+
				"or give command= instead for one that all have", word)
		}
	}
	return nil
}

// CheckSector returns an error if a device with sectors of so many bytes cannot have a
// filesystem of fsType.
func CheckSector(fsType string, bytes int) error {
	if fsType == "minix" && bytes > 1024 {
		return fmt.Errorf("%d: minix has blocks of 1024 bytes: choose another type=", bytes)
	}
	return nil
}
