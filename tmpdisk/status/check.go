// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"fmt"
	"os"
	"path/filepath"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
)

// maxName leaves room for what an unfinished file's name has besides.
const maxName = 200

// Check finds out without a side effect whether a File can be written at path, as
// far as that can be known. Its errors do not name the parameter.
func Check(path string) error {
	// Replacing a link to a device, as /dev/stdout is, or the device itself, is
	// never meant.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file: name a file, which will be replaced", path)
	}
	if name := filepath.Base(path); len(name) > maxName {
		return fmt.Errorf("%.40q...: a name of %d bytes: give one of at most %d", name, len(name), maxName)
	}
	return privdir.CheckDir(filepath.Dir(path))
}

// CheckMetrics is Check for a file that node_exporter is to read.
func CheckMetrics(path string) error {
	if name := filepath.Base(path); filepath.Ext(name) != ".prom" || name == ".prom" {
		return fmt.Errorf("%s: the name must end in .prom: node_exporter reads no others", path)
	}
	return Check(path)
}
