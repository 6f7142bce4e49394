// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import "libguestfs.org/nbdkit"

// host gives package tmpdisk nbdkit's functions.
type host struct{}

func (host) ParseSize(s string) (int64, error) { return nbdkit.ParseSize(s) }

func (host) AbsolutePath(path string) string {
	abs, err := nbdkit.AbsolutePath(path)
	if err != nil {
		// The directory nbdkit was started in has no name any more. What
		// is left is the one it is in now.
		return path
	}
	return abs
}

func (host) Debug(msg string) { nbdkit.Debug(msg) }

func (host) Error(msg string) { nbdkit.Error(msg) }
