// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// maxName is how long the name of an export may be in NBD, in bytes.
const maxName = 4096

// ParseName splits the name EXPORT/TOKEN that a client asked for, at its first
// slash. ok is false for a name that has no slash, which names no session. The
// error is about a name that has one and yet names none.
func ParseName(name string) (export, token string, ok bool, err error) {
	export, token, ok = strings.Cut(name, "/")
	switch {
	case !ok:
		return name, "", false, nil
	case token == "":
		return "", "", false, fmt.Errorf("export %.100q: nothing follows the slash: give a token there, or leave out the slash: %w", name, unix.EINVAL)
	case len(name) > maxName:
		return "", "", false, fmt.Errorf("export %.100q: with its token %d bytes: a name has at most %d: %w", export, len(name), maxName, unix.EINVAL)
	case !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return "", "", false, fmt.Errorf("export %.100q: it, or its token, is not UTF-8, or has a NUL: %w", export, unix.EINVAL)
	}
	return export, token, true, nil
}

// A Key is a session's name everywhere but at its client: 64 hexadecimal digits
// that do not tell the token.
type Key string

// NewKey is the key of the session that token names in export and that belongs
// to owner, which is "" where the name alone counts.
func NewKey(export, token, owner string) Key {
	return Key(sys.NewFieldHash("nbdkit-tmpdisk session 1", export, token, owner).String())
}

// Short is enough of the key for a log.
func (k Key) Short() string { return string(k[:min(12, len(k))]) }
