// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
)

// Exports collects what a plugin's ListExports method lists. It must not be
// used after that method has returned.
type Exports struct {
	list *C.struct_nbdkit_exports // NULL when the callback is over
}

var errExportsOver = errors.New("nbdkit_add_export: the list_exports callback has returned already")

// Add (nbdkit_add_export) adds an export: a unique name and a description
// (which may be empty), both UTF-8 without NUL and of at most 4096 bytes.
func (e *Exports) Add(name, description string) error {
	if e.list == nil {
		return errExportsOver
	}
	cname, free, err := cstring("nbdkit_add_export", name)
	if err != nil {
		return err
	}
	defer free()
	cdescription, freeDescription, err := cstring("nbdkit_add_export", description)
	if err != nil {
		return err
	}
	defer freeDescription()
	if r, err := C.nbdkit_add_export(e.list, cname, cdescription); r == -1 {
		return fmt.Errorf("nbdkit_add_export: %q: %w", name, err)
	}
	return nil
}

// UseDefault (nbdkit_use_default_export) adds the plugin's default export, as
// for a plugin without ListExports.
func (e *Exports) UseDefault() error {
	if e.list == nil {
		return errExportsOver
	}
	if r, err := C.nbdkit_use_default_export(e.list); r == -1 {
		return fmt.Errorf("nbdkit_use_default_export: %w", err)
	}
	return nil
}
