// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package status tells administrators what a server does, by two files: its status,
// one JSON document about the server, its exports and its clients' disks, and its
// metrics, in Prometheus's text format. It has what the server counts with, and what
// writes the files.
//
// # The status
//
// The server writes a [Document] and nbdkit-tmpdisk-top reads it; administrators'
// scripts read it too, so what a field is called and means stays. New fields may
// come. A reader ignores those that it does not know, and refuses a document whose
// format is not Format.
//
// # The metrics
//
// node_exporter's textfile collector reads them. Names and labels stay. All series
// of an export are there from the start. The labels are the server, the export, how
// an open ended and the kind of request: never a client or a session, of which there
// is no end. Two servers of one machine must differ in their names, and two exports
// of a server too: node_exporter serves nothing at all where a series is there twice.
//
// A server that ends well removes its metrics: node_exporter serves a file for as
// long as it is there, and the last numbers would look like a living server's. Those
// of a server that was killed stay until the next one's; node_exporter's
// node_textfile_mtime_seconds shows their age.
//
// # Concurrency
//
// Histogram, Counter and Counts may be used by any number of goroutines. A Reporter
// has one goroutine, which calls the functions of its Options and writes the files.
// Everything else is plain values: whoever fills one in owns it until it is handed on.
//
// # What it does not do
//
// It looks at no disk, measures no request and knows no server: numbers are handed
// to it. It does not sync the files.
package status
