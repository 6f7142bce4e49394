// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package template keeps disks that a command has made, in template-dir, and
// clones them: by sharing blocks where the filesystem can, else by a sparse
// copy.
//
// It stands in front of a [Maker], which does not know of it. A template is
// known by the maker's key, so it is made anew when what decides its content
// has changed.
//
// Once begun, the making of a template goes on even if the caller that began it
// leaves, until it ends by itself, is out of date, or [Templates.Stop] ends it.
// Callers that come meanwhile wait for it.
//
// # Concurrency
//
// The methods of Templates may be called from any number of goroutines, and any
// number of servers of one user may share a directory. Whoever builds or removes
// a template holds its lock, a flock on a file beside it.
//
// # What it does not do
//
// It gives clones no identity of their own: a filesystem in a template has the
// same UUID in every clone. It does not sync what clients write.
package template
