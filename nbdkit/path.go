// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// AbsolutePath (nbdkit_absolute_path) makes path absolute: it is relative to the
// directory that nbdkit was started in. Unlike the C function it works at any
// time, even after the server has gone into the background, where its working
// directory is "/".
func AbsolutePath(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("nbdkit_absolute_path: the path is empty: %w", syscall.EINVAL)
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir := C.gonbdkit_start_directory
	if dir == nil {
		return "", fmt.Errorf("nbdkit_absolute_path: %s: the directory that nbdkit was started in could not be determined", path)
	}
	return C.GoString(dir) + "/" + path, nil
}

// Realpath (nbdkit_realpath) is AbsolutePath with all symbolic links resolved.
// The path must exist.
func Realpath(path string) (string, error) {
	abs, err := AbsolutePath(path)
	if err != nil {
		return "", fmt.Errorf("nbdkit_realpath: %w", err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("nbdkit_realpath: %w", err)
	}
	return real, nil
}
