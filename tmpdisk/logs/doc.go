// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package logs keeps lines that say the same again and again out of the log.
//
// # Contract
//
// Of each kind, ten lines are logged in a minute, which begins with the first of
// them. Those after them are counted. When the minute is over, one line says how
// many there were, and what the last one was; it is the first of the next minute.
//
// A kind is a name from a small set that the caller chooses. If there are more
// than 64, those that come last are taken for one kind.
//
// A [Fault] is for what is wrong for a while: only its beginning is logged.
//
// # Concurrency
//
// All methods of a Limiter may be called from any goroutine. The function that logs is called
// by one goroutine at a time. It must not call the Limiter, and need not be the
// caller's goroutine: what is left of a minute is logged from a timer. There is a
// timer only for a kind of which lines are being counted.
//
// # What it does not do
//
// It does not look at the text, and writes nothing itself.
package logs
