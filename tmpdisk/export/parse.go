// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxFile is how many bytes a file may have.
const maxFile = 1 << 20

// A Setting is one key=value of an export's file.
type Setting struct {
	Key, Value string
	Line       int // where it begins, counted from 1
}

// AtLine makes err one about a line of a file, "line 3: ...".
func AtLine(line int, err error) error {
	return fmt.Errorf("line %d: %w", line, err)
}

// Parse reads the text of an export's file. Settings come in the order of the
// file; a key may come twice. The error is one line, as of [AtLine].
func Parse(text []byte) ([]Setting, error) {
	lines := strings.Split(string(text), "\n")
	if err := checkText(text, lines); err != nil {
		return nil, err
	}
	lines = lines[:len(lines)-1] // nothing follows the last newline
	var settings []Setting
	for next := 0; next < len(lines); {
		line, number := lines[next], next+1
		if strings.Trim(line, " \t") == "" || line[0] == '#' {
			next++
			continue
		}
		if err := checkLine(line); err != nil {
			return nil, AtLine(number, err)
		}
		from := next
		for next++; strings.HasSuffix(lines[next-1], `\`); next++ {
			if next == len(lines) {
				return nil, AtLine(next, errors.New("ends in a backslash, but no line follows: remove it"))
			}
		}
		whole := strings.ReplaceAll(strings.Join(lines[from:next], "\n"), "\\\n", "\n")
		key, value, _ := strings.Cut(whole, "=")
		settings = append(settings, Setting{Key: key, Value: value, Line: number})
	}
	return settings, nil
}

// checkText refuses what an editor of another system may have left, and what may
// be the beginning of a file that is being written.
func checkText(text []byte, lines []string) error {
	switch {
	case len(text) == 0:
		return AtLine(1, errors.New("the file is empty: is it half-written? One with nothing to set has a line with a # in it"))
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return AtLine(1, errors.New("begins with a byte order mark: save the file as UTF-8 without one"))
	}
	for i, line := range lines {
		switch {
		case strings.ContainsRune(line, '\r'):
			return AtLine(i+1, errors.New(`has a carriage return: save the file with Unix line ends, as sed -i 's/\r$//' does`))
		case strings.ContainsRune(line, 0):
			return AtLine(i+1, errors.New("has a NUL byte: save the file as plain text, not UTF-16"))
		}
	}
	if last := len(lines); lines[last-1] != "" {
		return AtLine(last, errors.New("does not end in a newline: is the file half-written? If it is complete, add one"))
	}
	return nil
}

func checkLine(line string) error {
	switch key, _, ok := strings.Cut(line, "="); {
	case line[0] == ' ' || line[0] == '\t':
		return fmt.Errorf("%.40q: begins with a blank: remove it, or end the line before in a backslash if a value goes on here", line)
	case !ok || key == "":
		return fmt.Errorf("%.40q: not key=value: a line looks like size=1G, or begins with #", line)
	}
	return nil
}

const maxName = 64

// ValidName is whether an export can have this name: 1 to 64 of A-Z a-z 0-9 . _ -,
// not beginning with a dot.
func ValidName(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= maxName && name[0] != '.' && strings.Trim(name, letters) == ""
}
