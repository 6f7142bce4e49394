// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// ErrNoServer is returned by functions that need the server, outside of it.
var ErrNoServer = errors.New("not running inside nbdkit")

// need returns an error unless this process is a server that has function.
func need(function string) error {
	if !bool(C.gonbdkit_in_server()) {
		return fmt.Errorf("%s: %w", function, ErrNoServer)
	}
	name := C.CString(function)
	defer cfree(unsafe.Pointer(name))
	if release := C.gonbdkit_lacks(name); release != nil {
		return fmt.Errorf("%s: this server does not have it, it came with nbdkit %s: %w",
			function, C.GoString(release), errors.ErrUnsupported)
	}
	return nil
}

// ReadPassword (nbdkit_read_password) returns the password that value, the
// value of a parameter, stands for: itself, "-" for the terminal, "+FILE" or
// "-FD". It is for Config; each value is read only once, although Config is
// called in two processes.
func ReadPassword(value string) (string, error) {
	cvalue, free, err := cstring("nbdkit_read_password", value)
	if err != nil {
		return "", err
	}
	defer free()
	password := C.gonbdkit_password(cvalue)
	if password == nil {
		// Not even the value may be shown.
		return "", errors.New("nbdkit_read_password: the password could not be read")
	}
	return C.GoString(password), nil
}

// StdioSafe (nbdkit_stdio_safe) says whether standard input and output may be
// used while configuring: with -s they are the client's. It is false after the
// fork, when the parameters come for the second time and neither belongs to the
// user any more.
func StdioSafe() bool {
	return need("nbdkit_stdio_safe") == nil && C.nbdkit_stdio_safe() != 0
}

// Shutdown (nbdkit_shutdown) asks the server to end. It returns at once. It has
// no effect before the server has forked.
func Shutdown() {
	if need("nbdkit_shutdown") == nil {
		C.nbdkit_shutdown()
	}
}

// Disconnect (nbdkit_disconnect, nbdkit 1.34) asks the server to drop the
// client whose callback this is, with force at once. Older servers cannot: the
// error then wraps [errors.ErrUnsupported].
func Disconnect(force bool) error {
	if err := need("nbdkit_disconnect"); err != nil {
		return err
	}
	var cforce C.int
	if force {
		cforce = 1
	}
	C.nbdkit_disconnect(cforce)
	return nil
}

// Nanosleep (nbdkit_nanosleep) sleeps for d, or returns an error as soon as
// the server is to end or the client whose callback this is has gone.
func Nanosleep(d time.Duration) error {
	if err := need("nbdkit_nanosleep"); err != nil {
		return err
	}
	if d < 0 || d/time.Second > math.MaxInt32 {
		return fmt.Errorf("nbdkit_nanosleep: %v: %w", d, syscall.EINVAL)
	}
	r, err := C.nbdkit_nanosleep(C.unsigned(d/time.Second), C.unsigned(d%time.Second))
	if r == -1 {
		return fmt.Errorf("nbdkit_nanosleep: %w", err)
	}
	return nil
}

// ExportName (nbdkit_export_name) returns the export that the client of this
// callback asked for. It is the client's word: any UTF-8.
func ExportName() (string, error) {
	if err := need("nbdkit_export_name"); err != nil {
		return "", err
	}
	name := C.nbdkit_export_name()
	if name == nil {
		return "", errors.New("nbdkit_export_name: no client, or no export name yet")
	}
	return C.GoString(name), nil
}

// IsTLS (nbdkit_is_tls) says whether the client of this callback has
// negotiated TLS.
func IsTLS() (bool, error) {
	if err := need("nbdkit_is_tls"); err != nil {
		return false, err
	}
	r := C.nbdkit_is_tls()
	if r == -1 {
		return false, errors.New("nbdkit_is_tls: no client")
	}
	return r != 0, nil
}

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
