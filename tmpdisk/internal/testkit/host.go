// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package testkit

import (
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Host stands in for nbdkit: sizes know K, M and G, and what nbdkit would log
// goes to the test's log.
type Host struct{ TB testing.TB }

// ParseSize implements config.Host.
func (h Host) ParseSize(s string) (int64, error) {
	unit := int64(1)
	switch {
	case strings.HasSuffix(s, "K"):
		unit = 1 << 10
	case strings.HasSuffix(s, "M"):
		unit = 1 << 20
	case strings.HasSuffix(s, "G"):
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(strings.TrimRight(s, "KMG"), 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, errors.New("negative")
	}
	if n > math.MaxInt64/unit {
		return 0, errors.New("too large")
	}
	return n * unit, nil
}

// AbsolutePath implements config.Host.
func (h Host) AbsolutePath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		h.TB.Error(err)
	}
	return abs
}

// Debug implements config.Host.
func (h Host) Debug(msg string) { h.TB.Log("debug: " + msg) }

// Error implements tmpdisk.Host.
func (h Host) Error(msg string) { h.TB.Log("error: " + msg) }
