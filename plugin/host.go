// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// host gives package tmpdisk nbdkit's functions.
type host struct{}

func (host) ParseSize(s string) (int64, error) { return nbdkit.ParseSize(s) }

func (host) AbsolutePath(path string) string {
	abs, err := nbdkit.AbsolutePath(path)
	if err != nil {
		// The directory that nbdkit was started in has been removed. The
		// path can only be relative to the current one.
		return path
	}
	return abs
}

// What is logged may have names in it that clients have chosen.

func (host) Debug(msg string) { nbdkit.Debug(sys.Printable(msg)) }

func (host) Error(msg string) { nbdkit.Error(sys.Printable(msg)) }
