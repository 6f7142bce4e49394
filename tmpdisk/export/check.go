// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import "fmt"

const suffix = ".conf"

// Check reads the files of all exports in dir once, sorted by name, without
// keeping anything. The first error names file and line: "DIR/NAME.conf: line 3: ...".
// Who the server's user is going to be is not known to root before nbdkit -u: for
// it all must be root's.
func Check(dir string, load func(name string, settings []Setting) error) error {
	o, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer o.Close()
	names, err := o.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := checkName(dir, name); err != nil {
			return err
		}
		text, _, err := o.read(name + suffix)
		var settings []Setting
		if err == nil {
			settings, err = Parse(text)
		}
		if err == nil {
			err = load(name, settings)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", Path(dir, name), err)
		}
	}
	return nil
}

// Path is that of the file of an export.
func Path(dir, name string) string { return dir + "/" + name + suffix }

func checkName(dir, name string) error {
	if ValidName(name) {
		return nil
	}
	return fmt.Errorf("%s: %q: not the name of an export: it has 1 to %d of A-Z a-z 0-9 . _ - and does not "+
		"begin with a dot: rename the file", dir, name+suffix, maxName)
}
