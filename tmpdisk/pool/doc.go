// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package pool hands out disks, and makes them ahead of the clients where it is
// told to.
//
// # Contract
//
// [Pool.Get] returns a disk that is the caller's until it calls [Pool.Put]. A
// client that finds a spare disk gets it at once. If that disk proves out of
// date it is dropped, and the client tries the next one. A client that finds no
// spare disk joins the queue. Each disk that is made or returned goes to the
// client at the head of the queue. If its making began before the client came,
// and it proves out of date, the client joins the queue again.
//
// Each client in the queue has a right to one maker. A maker is one run of the
// function that makes a disk. The makers of clients start in the order of the
// queue, and before those of spare disks. If a maker fails, only the client
// that it was started for gets the error, so nobody is told of a failure that
// began before they came. If that client has already been served, or has left,
// nobody gets the error. If a maker succeeds but its disk goes to an earlier
// client, the client that it was started for has a right to another.
//
// When a client leaves, one maker is cancelled, unless another client or the
// shelf still needs its disk. The same happens when somebody returns a disk that
// a client or the shelf needs.
//
// A disk that comes back untouched goes to a client that waits, or to the shelf
// if that is short of spare disks. Otherwise it is dropped, as is one that is made
// when no one needs it any more.
//
// [Jobs] are the slots that several pools share. A maker has one from its start
// until it has returned, even if it is cancelled. A pool that finds none free
// gets in line. A slot that is given back goes to the first pool in line that
// has a client without a maker, and, only if there is none, to the first that is
// short of spare disks. A pool that wants more than one slot gets in line anew
// for each. So while a pool is in line for a client, no other one starts two
// makers, however many clients it has.
//
// A maker may hang. If no slot has been taken or given back for ten seconds, a pool that
// has a client and no maker gets a slot too many.
//
// A pool that has retired keeps no disks: a disk that comes back or is made goes
// to a client that waits, or is dropped.
//
// A failure to make a spare disk is logged once, and then nothing is logged
// until a disk can be made again. Meanwhile a single maker tries again, after
// pauses that grow from a second to a minute. Clients do not wait for them.
//
// # Concurrency
//
// All methods may be called from any goroutine. The functions in [Options], and
// the methods of a disk, are called without the pool's lock, some of them from
// several goroutines at once. A pool may call the functions of another one that
// shares its Jobs, in its caller's goroutine, when it passes a slot on.
//
// # What it does not do
//
// It has no time limit for a maker: the function that makes disks must see to
// that. It cancels no maker to give another pool its slot. It closes the disks
// on its shelf, but not those that clients hold. It does not search its shelf
// for disks that are out of date: it asks only about the disk that it is about
// to hand out or take back, and not about one whose making began after its
// client came.
package pool
