// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A FieldHash is a SHA-256 of fields, each with its length before it, so that no two
// lists of fields are one.
type FieldHash struct{ h hash.Hash }

// NewFieldHash returns the hash of these fields so far.
func NewFieldHash(fields ...string) FieldHash {
	f := FieldHash{sha256.New()}
	f.Add(fields...)
	return f
}

// Add adds fields at the end.
func (f FieldHash) Add(fields ...string) {
	var n [8]byte
	for _, field := range fields {
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		f.h.Write(n[:])
		f.h.Write([]byte(field))
	}
}

// AddList adds fields of which it is not known how many there are: an empty one ends them.
func (f FieldHash) AddList(fields ...string) {
	f.Add(fields...)
	f.Add("")
}

// String is the hash in 64 hexadecimal digits.
func (f FieldHash) String() string { return hex.EncodeToString(f.h.Sum(nil)) }

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

// Printable is text with all that cannot be seen escaped as in a Go string: control
// characters and newlines, so that it forges no line of a log and steers no terminal;
// marks that turn the direction of writing round; and what is not UTF-8.
func Printable(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			out.WriteString(text[:n])
		} else {
			quoted := strconv.Quote(text[:n])
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[n:]
	}
	return out.String()
}
