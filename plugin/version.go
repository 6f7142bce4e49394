// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

// version is the only place where the version is written: configure.ac reads
// it from this line.
const version = "0.2.0"
