// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// CatchFileSizeSignal keeps the process alive where its resource limits, or the
// filesystem's, end a file: the system call fails with EFBIG as well, and that
// is the client's to know. Caught and not ignored, because commands would
// inherit that.
func CatchFileSizeSignal() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}
