// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// RandomName is 20 random hexadecimal digits: too many to guess, or to meet
// twice.
func RandomName() string {
	var random [10]byte
	// With Go 1.23 it can fail, where neither getrandom(2) nor /dev/urandom is.
	if _, err := rand.Read(random[:]); err != nil {
		panic(err)
	}
	return hex.EncodeToString(random[:])
}

// IsRandomName is whether name looks like one of [RandomName].
func IsRandomName(name string) bool { return IsHex(name, 20) }

// IsHex is whether s is n hexadecimal digits as package hex writes them.
func IsHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
