// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
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
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w: create it, or name a file in another directory", dir, cause(err))
	case err != nil:
		return fmt.Errorf("%s: %w", dir, cause(err))
	case !info.IsDir():
		return fmt.Errorf("%s: %w: name a file in a directory", dir, unix.ENOTDIR)
	case info.Mode()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		return fmt.Errorf("%s: mode %04o: others could replace what is in it: "+
			"chmod o-w, or name a file in another directory", dir, info.Mode().Perm())
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: not writable by user %d: %w", dir, os.Geteuid(), err)
	}
	return nil
}

// CheckMetrics is Check for a file that node_exporter is to read.
func CheckMetrics(path string) error {
	if name := filepath.Base(path); filepath.Ext(name) != ".prom" || name == ".prom" {
		return fmt.Errorf("%s: the name must end in .prom: node_exporter reads no others", path)
	}
	return Check(path)
}
