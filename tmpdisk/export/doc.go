// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package export reads the directory of named exports, one file NAME.conf each,
// and keeps up with what changes in it.
//
// A file has one key=value a line. Everything after the first = to the end of the
// line is the value, blanks included. Empty lines, and lines that begin with #,
// are skipped. A value that ends in a backslash goes on in the next line, whatever
// that looks like: the backslash goes, the newline stays. So a script's own
// backslash at the end of a line is written twice, and no value ends in one.
//
// The files name commands that the server runs. So the directory and each file
// must belong to root or to the server's user, and be writable by nobody else.
// Symbolic links are followed to what passes the same test.
//
// A version of a file that has an error, or whose file or directory cannot be
// read, changes nothing: the last good version stays in force. Only if a file is
// gone from a directory that can be read is its export gone.
//
// # What hangs
//
// Whoever asks waits for a second at most until the directory has answered, and for one
// more until the files and Load have, however many hang: they are looked at side by side.
// If they have not by then, the last good version stays in force as well, and
// nobody waits any more until they do. Other exports are not held up. [Dir.Hangs] tells
// an export that there is not from one of which that is not known.
//
// # Concurrency
//
// All functions, and the methods of a [Dir], may be called from any number of
// goroutines. There is no timer: files are looked at when somebody asks, which is two
// calls of stat(2) if nothing has changed. One goroutine at a time looks at the
// directory, and one at each file. No lock is held meanwhile, nor while Load and
// Retire are called.
//
// Load is called in another goroutine than its caller's, for each export by one at a
// time, and must not call Find or All. Each value
// that Load has made is retired once: when its file has changed or is gone, or by
// [Dir.Stop]. Whoever got a value from Find may use it after it was retired.
//
// # What it does not do
//
// It does not know what a setting means, nor which keys there are. It does not
// check the directories above, which lead to the one that is named. A file that
// is edited in place is taken once it ends in a newline, complete or not: only
// replacing it by rename is sure. On a network filesystem a change is seen when
// the mount's cache of attributes lets it be seen.
package export
