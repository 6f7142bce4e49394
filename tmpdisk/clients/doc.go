// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package clients limits what one client may take: how many disks it has at a
// time, and how fast it reads and writes, with all its disks together.
//
// # Contract
//
// A client is a string, its owner: whatever is the same for all its connections
// ("address 192.0.2.7").
//
// A [Slot] stands for one disk, connected or waiting for its client. Whoever is
// about to make a disk calls [Clients.Enter] first, and [Slot.Leave] when the
// disk is gone. Several connections to one disk share its slot. If a disk
// changes hands, the new owner enters before the old one leaves.
//
// A [Meter] stands for one connection. Each of its requests goes through
// [Meter.Wait], which returns when the request may go ahead. An owner's meters
// share two limiters of golang.org/x/time/rate, which hold a second's worth of bytes
// and of requests, so an owner that was idle gets that much at once. A request that
// needs more than a limiter holds waits until the limiter is full, and those after it
// wait until it is paid for. Requests that must wait are served in the order in which
// they came. One that gives up is not counted, and those behind it move up: they learn
// of it within a quarter of a second. The limiters know neither: their Wait refuses
// what is more than they hold, needs a timer, and keeps those behind where they were.
//
// An owner that has neither slots nor meters is forgotten once it has paid for its
// last requests, so to connect again is no way round the limits. There is no
// timer for it: whenever somebody leaves, two are looked at.
//
// # Concurrency
//
// All methods may be called from any goroutine, but [Meter.Close] must come
// after the meter's last request. No lock is held while a request waits. There
// are no goroutines and no timers.
//
// # What it does not do
//
// It does not know who a client is, and does not log. It does not limit what all
// clients take together.
package clients
