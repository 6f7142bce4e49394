// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package visit lets a client leave while something is done for it that may hang, such as
// opening a file, and that cannot be told to stop.
//
// # Concurrency
//
// A Hall and a Visit may be used from any number of goroutines; one Do has a Visit.
//
// # What it does not do
//
// It does not limit how much hangs: its caller looks at [Hall.Left].
package visit
