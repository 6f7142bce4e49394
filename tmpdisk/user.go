// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

// identity is a user that a command runs as.
type identity struct {
	uid, gid int
	groups   []int
}
