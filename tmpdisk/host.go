// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

// Host is what this package needs of the server it lives in. The plugin gives
// nbdkit's own functions; tests give plain ones. Every method may be called
// from any goroutine.
type Host interface {
	// ParseSize turns "1G" into bytes the way nbdkit_parse_size does.
	ParseSize(s string) (int64, error)
	// AbsolutePath resolves path against the directory nbdkit was started in.
	AbsolutePath(path string) string
	// Debug writes one line that only `nbdkit -v` shows.
	Debug(msg string)
	// Error writes one line to nbdkit's log, for failures that no client is
	// there to be told of.
	Error(msg string)
}
