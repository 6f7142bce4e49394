// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"errors"
	"fmt"
	"strings"
)

// What /bin/sh would expand, or take for something else than a word, and what it would
// still expand between double quotes. Some of these mean nothing in some places; they
// have to be quoted everywhere.
const (
	special       = "$`*?[~#;&|<>(){\n"
	specialQuoted = "$`"
)

// Words splits text as /bin/sh does: at blanks, but for what is quoted. Nothing is
// expanded: what the shell would expand is an error unless it is quoted.
func Words(text string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		begun bool // a quoted word may be empty
	)
	// The shell joins lines that end in a backslash.
	for rest := text; rest != ""; {
		c := rest[0]
		rest = rest[1:]
		switch {
		case c == ' ' || c == '\t':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
			continue
		case c == '\\' && strings.HasPrefix(rest, "\n"):
			rest = rest[1:]
			continue
		case c == '\\' && rest == "":
			return nil, errors.New("a backslash at the end, which quotes nothing")
		case c == '\\':
			word.WriteByte(rest[0])
			rest = rest[1:]
		case c == '\'':
			quoted, after, closed := strings.Cut(rest, "'")
			if !closed {
				return nil, errors.New("a single quote that is not closed")
			}
			word.WriteString(quoted)
			rest = after
		case c == '"':
			n, err := unquote(&word, rest)
			if err != nil {
				return nil, err
			}
			rest = rest[n:]
		case strings.IndexByte(special, c) >= 0:
			return nil, fmt.Errorf("%q means something to the shell, which reads none of this: put it in single quotes", string(c))
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// unquote writes what stands before the double quote that ends text's beginning. It returns
// where the rest begins.
func unquote(word *strings.Builder, text string) (int, error) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			return i + 1, nil
		case c == '\\' && strings.HasPrefix(text[i+1:], "\n"):
			i++
		case c == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\", text[i+1]) >= 0:
			i++
			word.WriteByte(text[i])
		case strings.IndexByte(specialQuoted, c) >= 0:
			return 0, fmt.Errorf("%q between double quotes means something to the shell, which reads none of this: put it in single quotes", string(c))
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New("a double quote that is not closed")
}
