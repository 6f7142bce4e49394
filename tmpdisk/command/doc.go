// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package command runs shell scripts so that nothing they start outlives them:
// not when they end, not when they are cancelled, and not when this process is
// killed.
//
// The means is a PID namespace, see containment.go. Where none is permitted it
// is a process group, see group.sh, which a process can leave.
//
// # Concurrency
//
// A Runner may be used from any number of goroutines. It must not be used
// before the process has forked for the last time.
//
// # What it does not do
//
// It limits neither memory nor CPU nor files of a script. Without a namespace,
// what begins a session or a process group of its own escapes, unless it runs as
// a user of its own. A script may ask a daemon, cron say, to start something: that is the daemon's.
package command
