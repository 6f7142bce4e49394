// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads the value of the parameter called name: a whole number
// of seconds, or Go's notation with units (90s, 5m, 1h30m, 500ms). It is never
// negative; 0 is allowed and means what the parameter says it means. The error
// gives the remedy; the caller says which parameter it is about.
func parseDuration(name, value string) (time.Duration, error) {
	bad := func(why string) error {
		return fmt.Errorf("%q: %s: give seconds, or units as in %s=90s or %s=1h30m", value, why, name, name)
	}
	text := strings.TrimSpace(value)
	if text == "" {
		return 0, bad("empty")
	}
	if text[0] == '-' {
		return 0, bad("negative")
	}
	var d time.Duration
	if isDigits(text) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(maxDuration/time.Second) {
			return 0, bad("too long")
		}
		d = time.Duration(n) * time.Second
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return 0, bad("not a duration")
		}
		if d == 0 && strings.ContainsAny(text, "123456789") {
			return 0, bad("too short") // 0 may mean for ever
		}
	}
	if d > maxDuration {
		return 0, bad("too long")
	}
	return d, nil
}

// maxDuration keeps sums with the present time far from overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
