// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

// uuidOf is id as a random UUID (version 4, RFC 9562).
func uuidOf(id ID) [16]byte {
	u := [16]byte(id)
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
