// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package nbdkit lets nbdkit plugins be written in Go.
package nbdkit
