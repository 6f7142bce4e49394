// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"crypto/rand"
	"encoding/hex"
)

// RandomName is 20 random hexadecimal digits: too many to guess, or to meet
// twice.
func RandomName() string {
	var random [10]byte
	rand.Read(random[:]) // never fails since Go 1.24
	return hex.EncodeToString(random[:])
}
