// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is a clock that nobody sets and that goes on while the machine sleeps.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // cannot be: Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
